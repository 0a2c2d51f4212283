import type { EndOfIncarnation } from '../src/actions/action.ts'
import { detectorInDevelopment } from '../src/application/workflow-detector-adapter.ts'
import { surroundingsOf } from '../src/assembly/file-surroundings-adapter.ts'
import { journalOptionsOf } from '../src/assembly/journal-settings.ts'
import { startApplication } from '../src/assembly/start-application.ts'
import { CommanderError } from '../src/kernel/errors.ts'
import { loadApplication } from '../src/sdk/load-module-adapter.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import { runChild } from '../src/supervisor/child-main.ts'
import type { PreviousExit } from '../src/supervisor/child-report.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'
import { progressOf } from '../src/supervisor/progress.ts'
import { reportReadiness } from '../src/supervisor/readiness.ts'

await runChild<ChildSettings<ResolvedConfig>>(async (child) => {
  const settings = child.config.application
  if (settings === undefined) throw new CommanderError('invalid_config', 'this process was given no application')
  const application = await loadApplication(settings.module)
  const detector = detectorInDevelopment([application], ({ workflow, place, message }) => {
    child.environment.log.warn({ code: 'non_deterministic_call', workflow, place }, message)
  })
  const effects = child.metrics.counter('effects_failed_total', 'Effects that failed in every attempt.')
  const { runtime, follower, stop } = startApplication(surroundingsOf(child), {
    application,
    instance: settings.instance,
    effectFailed: () => effects.increment(),
    former: formerOf(child.previousExit),
    journal: journalOptionsOf(child.config.config),
    ...(detector === null ? {} : { isolation: detector }),
  })
  child.link.onStop(stop)
  child.link.sample(() => progressOf(follower))
  reportReadiness(child, () => follower.standing.isCaughtUp && (runtime.isRegistered || follower.standing.isStandingBy))
})

/**
 * A process that a stranger killed says nothing about the command that it was at; one that ended by itself does, with
 * whatever code: at an orderly stop it has said goodbye, and nothing is started on it any more.
 */
function formerOf(exit: PreviousExit | undefined): EndOfIncarnation {
  if (exit === undefined) return 'unknown'
  if (exit.reason === 'watchdog') return 'crashed'
  if (exit.reason === 'rss' || exit.reason === 'behind' || exit.reason === 'quarantine') return 'stopped'
  return exit.signal === 'SIGKILL' || exit.signal === 'SIGTERM' ? 'killed' : 'crashed'
}
