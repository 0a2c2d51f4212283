import { httpLimits } from './http-limits.ts'
import type { HttpContext } from './http-route.ts'
import { type CommandView, commandLsn } from './queries.ts'

type Done = (error: unknown, view: CommandView | null) => void

/**
 * What is known of a command once it has ended, or after `waitMs`, whichever comes first.
 *
 * @param isWanted false: nobody waits any more, and `done` is not called
 */
export function awaitCommand(
  context: HttpContext,
  id: string,
  waitMs: number,
  isWanted: () => boolean,
  done: Done,
): void {
  const { clock } = context.environment
  const endsAtMs = clock.monotonicMs() + waitMs
  const { gateway, waiter, queries } = context
  const answer = (): void => {
    let view: CommandView
    try {
      view = queries.command(id)
    } catch (error) {
      done(error, null)
      return
    }
    done(null, view)
  }
  const look = (): void => {
    if (!isWanted()) return
    const at = commandLsn(id)
    const leftMs = endsAtMs - clock.monotonicMs()
    if (gateway.state.commands.byLsn.has(at)) {
      // A command ends in the store by an entry that is not applied yet: look again whenever some are.
      if (leftMs > 0) waiter.wait(gateway.marks.applied + 1, leftMs, look)
      else answer()
      return
    }
    // Ended and not in the store yet: it will be once the store is where the state is now.
    const isOnTheWay = at <= gateway.state.lsn && gateway.marks.applied < gateway.state.lsn
    if (!isOnTheWay) answer()
    else
      waiter.wait(gateway.state.lsn, httpLimits.readWaitMs, (error) => (error === null ? answer() : done(error, null)))
  }
  look()
}
