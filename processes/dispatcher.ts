import { dispatcherSettingsOf } from '../src/assembly/dispatcher-settings.ts'
import { surroundingsOf } from '../src/assembly/file-surroundings-adapter.ts'
import { startDispatcher } from '../src/assembly/start-dispatcher.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import { runChild } from '../src/supervisor/child-main.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'
import { progressOf } from '../src/supervisor/progress.ts'
import { reportReadiness } from '../src/supervisor/readiness.ts'

await runChild<ChildSettings<ResolvedConfig>>((child) => {
  const { follower, stop } = startDispatcher(surroundingsOf(child), dispatcherSettingsOf(child.config.config))
  child.link.onStop(stop)
  child.link.sample(() => progressOf(follower))
  reportReadiness(child, () => follower.standing.isCaughtUp)
})
