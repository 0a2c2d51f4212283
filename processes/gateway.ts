import { surroundingsOf } from '../src/assembly/file-surroundings-adapter.ts'
import { loadApplications } from '../src/assembly/load-applications.ts'
import { startGateway } from '../src/assembly/start-gateway.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import { runChild } from '../src/supervisor/child-main.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'
import { reportReadiness } from '../src/supervisor/readiness.ts'

await runChild<ChildSettings<ResolvedConfig>>(async (child) => {
  const { config } = child.config
  const applications = await loadApplications(config)
  const running = await startGateway(surroundingsOf(child), { applications, limits: config.limits })
  child.link.onStop(running.stop)
  child.link.sample(() => ({ appliedLsn: running.follower.applied }))
  reportReadiness(child, () => running.gateway.isReady)
})
