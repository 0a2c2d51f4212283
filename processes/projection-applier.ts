import { openArchiveTarget } from '../src/archive/open-target-adapter.ts'
import { archiveReport } from '../src/assembly/archive-report.ts'
import { surroundingsOf } from '../src/assembly/file-surroundings-adapter.ts'
import { loadApplications } from '../src/assembly/load-applications.ts'
import { parkedReport } from '../src/assembly/parked-report.ts'
import { startProjectionApplier } from '../src/assembly/start-projection-applier.ts'
import { toWireError } from '../src/kernel/errors.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import { runChild } from '../src/supervisor/child-main.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'
import { progressOf } from '../src/supervisor/progress.ts'
import { reportReadiness } from '../src/supervisor/readiness.ts'

await runChild<ChildSettings<ResolvedConfig>>(async (child) => {
  const { config } = child.config
  const applications = await loadApplications(config)
  const { checkpointTimeoutMs } = config.journal
  // The segments of a replicated journal are archived by the node that leads.
  const archive = config.replication.journal === 'replicated' ? null : config.archive
  const running = await startProjectionApplier(surroundingsOf(child), {
    applications,
    checkpointTimeoutMs,
    ...(archive === null ? {} : { openArchive: () => openArchiveTarget(archive) }),
  })
  const measureArchive = running.archiver === null ? () => ({}) : archiveReport(running.archiver, child.metrics)
  const measureParked = parkedReport(running, child.metrics)
  child.link.onStop(running.stop)
  child.link.sample(() => ({
    ...progressOf(running.follower),
    appliedLsn: running.applier.committed,
    storeTrouble: running.trouble === null ? null : toWireError(running.trouble),
    ...measureParked(),
    ...measureArchive(),
  }))
  // Nobody may append before the archive had its chance to say that entries are missing here.
  // With a store that takes nothing for now it begins again and again, which the status says by itself.
  const follows = (): boolean => running.follower.standing.isCaughtUp || running.trouble !== null
  reportReadiness(child, () => follows() && (running.archiver?.isAsked ?? true))
})
