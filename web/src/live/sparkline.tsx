import type { ReactNode } from 'react';
import { POINTS } from './history.js';

interface SparklineProps {
  readonly label: string;
  readonly values: readonly number[];
  /** False where the newest value is not of now. */
  readonly isCurrent: boolean;
}

const WIDTH = 240;
const HEIGHT = 34;

/** A rate over the last minute: the shape as a picture, the newest value as text. */
export function Sparkline({ label, values, isCurrent }: SparklineProps): ReactNode {
  const most = Math.max(1, ...values);
  const now = values.at(-1) ?? 0;
  const step = WIDTH / (POINTS - 1);
  const left = WIDTH - (values.length - 1) * step;
  const points = values.map(
    (value, i) =>
      `${(left + i * step).toFixed(1)},${(HEIGHT - 2 - (value / most) * 30).toFixed(1)}`,
  );
  const area = `M${left.toFixed(1)},${HEIGHT} L${points.join(' L')} L${WIDTH},${HEIGHT} Z`;
  return (
    <figure className="spark">
      <figcaption>
        {label} <b>{isCurrent ? rate(now) : '–'}</b>
        <span className="peak">peak {rate(most)}</span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {values.length < 2 ? null : (
          <>
            <path d={area} className="area" />
            <polyline points={points.join(' ')} vectorEffect="non-scaling-stroke" />
          </>
        )}
      </svg>
    </figure>
  );
}

function rate(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}
