// @vitest-environment happy-dom
import { act, cleanup, render } from '@testing-library/react';
import { StrictMode, Suspense, use, useState, startTransition, type ReactNode } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createPresenceClient, type PresenceClient } from 'rollcall/client';
import {
  PresenceProvider,
  usePresence,
  usePresenceStatus,
  useSelf,
  useTyping,
  useUserPresence,
} from 'rollcall/react';
import { person, ScriptedSocket } from '../client/scripted-socket.js';

let socket: ScriptedSocket;
let client: PresenceClient;

/** Lets a frame pass. */
const frame = (): Promise<unknown> => act(() => vi.advanceTimersByTimeAsync(20));
const within = (children: ReactNode): ReactNode => (
  <PresenceProvider client={client}>{children}</PresenceProvider>
);
/** A component that counts how often it renders, and shows what it reads. */
function counted(read: () => unknown): { readonly Shown: () => ReactNode; renders: number } {
  const counter = {
    renders: 0,
    Shown: () => {
      counter.renders++;
      return <p>{JSON.stringify(read())}</p>;
    },
  };
  return counter;
}

beforeEach(() => {
  vi.useFakeTimers();
  socket = new ScriptedSocket();
  client = createPresenceClient(socket, { userId: 'ada', idleAfterMs: false });
  socket.connect();
});
afterEach(() => {
  cleanup();
  client.close();
  vi.useRealTimers();
});

describe('usePresence', () => {
  const names = (): string =>
    usePresence('team')
      .users.map(({ userId }) => userId)
      .join(' ');

  it('joins its community and follows it', async () => {
    const { Shown } = counted(names);
    const { container, unmount } = render(within(<Shown />));
    expect(container.textContent).toBe('""');
    expect(socket.last('joinCommunity').argument).toBe('team');
    socket.list([person('ada'), person('ben')]);
    await frame();
    expect(container.textContent).toBe('"ada ben"');
    socket.offline('ben');
    await frame();
    expect(container.textContent).toBe('"ada"');
    unmount();
    await act(() => vi.advanceTimersByTimeAsync(5000));
    expect(socket.last('leaveCommunity').argument).toBe('team');
  });

  it('renders only when what it selects has changed', async () => {
    const all = counted(() => usePresence('team').count);
    const count = counted(() => usePresence('team', ({ count }) => count));
    const busy = counted(() =>
      usePresence(
        'team',
        ({ users }) => users.filter(({ status }) => status === 'busy').map(({ userId }) => userId),
        (a, b) => a.join() === b.join(),
      ),
    );
    const { container } = render(
      within(
        <>
          <all.Shown />
          <count.Shown />
          <busy.Shown />
        </>,
      ),
    );
    socket.list([person('ada'), person('ben')]);
    await frame();
    expect([all.renders, count.renders, busy.renders]).toEqual([2, 2, 1]);
    socket.updated(person('ben', { status: 'busy' }));
    await frame();
    expect([all.renders, count.renders, busy.renders]).toEqual([3, 2, 2]);
    for (let i = 0; i < 100; i++) socket.updated(person('ben', { status: 'busy', meta: { i } }));
    await frame();
    expect([all.renders, count.renders, busy.renders]).toEqual([4, 2, 2]);
    // A list that says the same.
    socket.list([person('ada'), person('ben', { status: 'busy', meta: { i: 99 } })]);
    await frame();
    expect([all.renders, count.renders, busy.renders]).toEqual([4, 2, 2]);
    expect(container.textContent).toBe('22["ben"]');
  });

  it('may select what is made anew each time', async () => {
    const busy = counted(() =>
      usePresence('team', ({ users }) => users.filter(({ status }) => status === 'busy')).map(
        ({ userId }) => userId,
      ),
    );
    const { container } = render(<StrictMode>{within(<busy.Shown />)}</StrictMode>);
    socket.list([person('ada'), person('ben', { status: 'busy' })]);
    await frame();
    expect(container.textContent).toBe('["ben"]');
    const before = busy.renders;
    await frame();
    expect(busy.renders).toBe(before);
  });

  it('may change its community', async () => {
    function Chosen({ id }: { id: string }): ReactNode {
      const { communityId, count } = usePresence(id);
      return `${communityId} ${count}`;
    }
    const { container, rerender } = render(within(<Chosen id="team" />));
    socket.list([person('ada')]);
    await frame();
    rerender(within(<Chosen id="club" />));
    expect(container.textContent).toBe('club 0');
    socket.list([person('ada'), person('ben')], { communityId: 'club' });
    await frame();
    expect(container.textContent).toBe('club 2');
    await act(() => vi.advanceTimersByTimeAsync(5000));
    expect(socket.of('leaveCommunity').map(({ argument }) => argument)).toEqual(['team']);
  });
});

describe('useUserPresence', () => {
  it('renders for its user only, and joins only when told which community', async () => {
    const ben = counted(() => useUserPresence('ben')?.status ?? 'offline');
    const cleo = counted(() => useUserPresence('cleo', 'team')?.status ?? 'offline');
    const { container } = render(
      within(
        <>
          <ben.Shown />
          <cleo.Shown />
        </>,
      ),
    );
    expect(socket.of('joinCommunity')).toHaveLength(1);
    expect(container.textContent).toBe('"offline""offline"');
    socket.list([person('ada'), person('ben')]);
    await frame();
    expect([ben.renders, cleo.renders]).toEqual([2, 1]);
    socket.online(person('cleo', { status: 'idle' }));
    socket.online(person('dan'));
    await frame();
    expect([ben.renders, cleo.renders]).toEqual([2, 2]);
    expect(container.textContent).toBe('"active""idle"');
  });
});

describe('useTyping', () => {
  it('tells who types on a board, but for oneself, and renders only for that', async () => {
    const roadmap = counted(() => useTyping('roadmap').map(({ userId }) => userId));
    const anywhere = counted(() => useTyping<{ name: string }>().map(({ info }) => info?.name));
    client.community('team').subscribe(() => {});
    const { container } = render(
      within(
        <>
          <roadmap.Shown />
          <anywhere.Shown />
        </>,
      ),
    );
    socket.list([person('ada', { typing: true, boardId: 'roadmap' }), person('ben')]);
    await frame();
    expect(container.textContent).toBe('[][]');
    socket.updated(person('ben', { typing: true, boardId: 'budget' }, { name: 'Ben' }));
    await frame();
    expect(container.textContent).toBe('[]["Ben"]');
    socket.updated(person('ben', { typing: true, boardId: 'roadmap' }, { name: 'Ben' }));
    await frame();
    expect(container.textContent).toBe('["ben"]["Ben"]');
    expect([roadmap.renders, anywhere.renders]).toEqual([2, 2]);
    socket.updated(
      person('ben', { typing: true, boardId: 'roadmap', status: 'busy' }, { name: 'Ben' }),
    );
    socket.online(person('cleo'));
    await frame();
    expect([roadmap.renders, anywhere.renders]).toEqual([2, 2]);
  });
});

describe('useSelf and usePresenceStatus', () => {
  it('show a change at once and take a refused one back', async () => {
    let self: ReturnType<typeof useSelf> | undefined;
    const status = counted(() => usePresenceStatus().state);
    function Me(): ReactNode {
      self = useSelf();
      return <i>{self.status}</i>;
    }
    const { container } = render(
      within(
        <>
          <Me />
          <status.Shown />
        </>,
      ),
    );
    await frame();
    const before = status.renders;
    act(() => void self?.setStatus('busy'));
    expect(container.textContent).toBe('busy"live"');
    const error = { code: 'RATE_LIMITED', message: 'no' };
    await act(async () => socket.last('presenceUpdate').answer({ ok: false, error }));
    expect(container.textContent).toBe('active"live"');
    expect(status.renders).toBe(before);
    act(() => socket.drop());
    await frame();
    expect(container.textContent).toBe('active"stale"');
  });

  it('render once for a change that the server agrees to', async () => {
    const self = counted(() => useSelf().meta);
    render(within(<self.Shown />));
    await frame();
    const before = self.renders;
    act(() => void client.setMeta({ page: 3 }));
    await act(async () => socket.last('presenceUpdate').answer({ ok: true }));
    expect(self.renders).toBe(before + 1);
  });

  it('keep a controlled field as it was typed', () => {
    function Status(): ReactNode {
      const { status, setStatus } = useSelf();
      return (
        <select value={status} onChange={(event) => void setStatus(event.target.value as 'busy')}>
          <option>active</option>
          <option>busy</option>
        </select>
      );
    }
    const { container } = render(within(<Status />));
    const select = container.querySelector('select') as HTMLSelectElement;
    act(() => {
      select.value = 'busy';
      select.dispatchEvent(new Event('change', { bubbles: true }));
    });
    expect(select.value).toBe('busy');
  });
});

describe('React’s ways of rendering', () => {
  const Everything = (): ReactNode => {
    const { count, state } = usePresence('team');
    const ben = useUserPresence('ben');
    const typing = useTyping();
    const { status } = useSelf();
    const connection = usePresenceStatus();
    return [state, count, ben?.status, typing.length, status, connection.state].join(' ');
  };

  it('StrictMode joins once and leaves no listener behind', async () => {
    const store = client.community('team');
    let listening = 0;
    const watched =
      (subscribe: PresenceClient['subscribe']): PresenceClient['subscribe'] =>
      (listener) => {
        const end = subscribe(listener);
        listening++;
        return () => {
          listening--;
          end();
        };
      };
    const watchedStore = { ...store, subscribe: watched(store.subscribe) };
    const original = client;
    client = { ...client, subscribe: watched(client.subscribe), community: () => watchedStore };
    const { container, unmount } = render(<StrictMode>{within(<Everything />)}</StrictMode>);
    client = original;
    expect(socket.of('joinCommunity')).toHaveLength(1);
    socket.list([person('ada'), person('ben')]);
    await frame();
    expect(container.textContent).toBe('live 2 active 0 active live');
    expect(listening).toBe(5);
    unmount();
    expect(listening).toBe(0);
    await act(() => vi.advanceTimersByTimeAsync(5020));
    expect(socket.of('leaveCommunity')).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('renders on a server, with a client and without, and hydrates what it rendered', async () => {
    const html = renderToString(within(<Everything />));
    expect(html).toBe('syncing 0  0 active syncing');
    expect(
      renderToString(<PresenceProvider client={null}>{<Everything />}</PresenceProvider>),
    ).toBe(html);
    expect(renderToString(<Everything />)).toBe(html);
    const container = document.createElement('div');
    container.innerHTML = html;
    const problems = vi.spyOn(console, 'error');
    // The client knows more by then than the server did.
    client.community('team').subscribe(() => {});
    socket.list([person('ada'), person('ben')]);
    vi.advanceTimersByTime(20);
    const root = await act(() => hydrateRoot(container, within(<Everything />)));
    expect(problems).not.toHaveBeenCalled();
    expect(container.textContent).toBe('live 2 active 0 active live');
    act(() => root.unmount());
    problems.mockRestore();
  });

  it('does not tear when the store changes while a transition renders', async () => {
    let finish: (() => void) | undefined;
    const later = new Promise<void>((resolve) => (finish = resolve));
    function Slow({ isSlow }: { isSlow: boolean }): ReactNode {
      if (isSlow) use(later);
      return <Count />;
    }
    const Count = (): ReactNode => <b>{usePresence('team', ({ count }) => count)}</b>;
    let start: (() => void) | undefined;
    function App(): ReactNode {
      const [isSlow, setSlow] = useState(false);
      start = () => startTransition(() => setSlow(true));
      return (
        <Suspense fallback="…">
          <Count />
          <Slow isSlow={isSlow} />
        </Suspense>
      );
    }
    const { container } = render(within(<App />));
    socket.list([person('ada')]);
    await frame();
    await act(async () => start?.());
    socket.online(person('ben'));
    await frame();
    expect(container.textContent).toBe('22');
    await act(async () => finish?.());
    expect(container.textContent).toBe('22');
  });
});
