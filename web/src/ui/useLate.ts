import { useEffect, useState } from "react";

const SLOW_MS = 300;

/** Whether something has lasted so long that the user should see that they are waiting. */
export function useLate(waiting: boolean): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!waiting) return setLate(false);
    const timer = setTimeout(() => setLate(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, [waiting]);
  return waiting && late;
}
