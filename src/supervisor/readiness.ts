import type { Environment } from '../kernel/environment.ts'
import type { ChildLink } from './child-link.ts'

const lookMs = 20

/** Reports `ready` while `isCaughtUp` holds, and `starting` while it does not. */
export function reportReadiness(
  { environment, link }: { readonly environment: Pick<Environment, 'scheduler'>; readonly link: ChildLink },
  isCaughtUp: () => boolean,
): void {
  const look = (): void => {
    if (isCaughtUp()) link.ready()
    else link.starting()
    environment.scheduler.after(lookMs, look)
  }
  look()
}
