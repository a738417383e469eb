import { useEffect, useId, useRef, type ReactNode } from 'react';

interface ConfirmDialogProps {
  readonly question: string;
  readonly consequence: string;
  /** What the button says that does it. */
  readonly action: string;
  readonly onClose: (isConfirmed: boolean) => void;
}

/** Asks before something that cannot be undone. Escape is no. */
export function ConfirmDialog(props: ConfirmDialogProps): ReactNode {
  const { question, consequence, action, onClose } = props;
  const heading = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={heading}
      onClose={() => onClose(dialog.current?.returnValue === 'yes')}
    >
      <form method="dialog">
        <h3 id={heading}>{question}</h3>
        <p>{consequence}</p>
        <div className="actions">
          <button value="no" autoFocus>
            Cancel
          </button>
          <button value="yes" className="danger">
            {action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
