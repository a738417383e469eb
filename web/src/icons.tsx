import type { ReactNode } from 'react';

function Icon({ children }: { children: ReactNode }): ReactNode {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      {children}
    </svg>
  );
}

export function LaptopIcon(): ReactNode {
  return (
    <Icon>
      <rect x="3" y="3" width="10" height="7" rx="1.2" />
      <path d="M1.5 12.5h13" />
    </Icon>
  );
}

export function PhoneIcon(): ReactNode {
  return (
    <Icon>
      <rect x="4.5" y="1.5" width="7" height="13" rx="1.6" />
      <path d="M7.3 12.2h1.4" />
    </Icon>
  );
}

export function CloseIcon(): ReactNode {
  return (
    <Icon>
      <path d="M4 4l8 8M12 4l-8 8" />
    </Icon>
  );
}
