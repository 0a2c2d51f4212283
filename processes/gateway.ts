import { createRequire } from 'node:module'
import { surroundingsOf } from '../src/assembly/file-surroundings-adapter.ts'
import { journalOptionsOf } from '../src/assembly/journal-settings.ts'
import { loadApplications } from '../src/assembly/load-applications.ts'
import { type RunningGateway, startGateway } from '../src/assembly/start-gateway.ts'
import { portToTake, rememberPort } from '../src/gateway/http-port-adapter.ts'
import { createHttpServer } from '../src/gateway/http-server.ts'
import { fromWireError } from '../src/kernel/errors.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import { type Child, runChild } from '../src/supervisor/child-main.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'
import { databaseMetrics } from '../src/supervisor/database-metrics.ts'
import { progressOf } from '../src/supervisor/progress.ts'
import { reportReadiness } from '../src/supervisor/readiness.ts'
import { requestStatus } from '../src/supervisor/status-client.ts'

const { version } = createRequire(import.meta.url)('commanderdb/package.json') as { version: string }

type GatewayChild = Child<ChildSettings<ResolvedConfig>>

await runChild<ChildSettings<ResolvedConfig>>(async (child) => {
  const { config } = child.config
  const applications = await loadApplications(config)
  const running = await startGateway(surroundingsOf(child), {
    applications,
    limits: config.limits,
    journal: journalOptionsOf(config),
    askStoreTrouble: async () => {
      const { storeTrouble } = await statusOf(child)
      return storeTrouble === null ? null : fromWireError(storeTrouble)
    },
  })
  child.link.onStop(running.stop)
  if (config.http !== false) await serveHttp(child, running, config.http)
  reportCounts(child, running)
  reportReadiness(
    child,
    () => running.gateway.isReady || (running.follower.standing.isCaughtUp && running.follower.standing.isStandingBy),
  )
})

const statusOf = ({ environment, transport, config }: GatewayChild): ReturnType<typeof requestStatus> =>
  requestStatus({ transport, scheduler: environment.scheduler, dataDir: config.config.dataDir })

async function serveHttp(
  child: GatewayChild,
  running: RunningGateway,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  const { environment, log } = child
  const { limits, security, dataDir } = child.config.config
  const status = (): ReturnType<typeof requestStatus> => statusOf(child)
  const server = createHttpServer({
    ...running,
    environment,
    log,
    limits,
    security,
    status,
    metrics: async () => databaseMetrics(await status()),
    version,
  })
  const { url } = await server.listen(host, portToTake(dataDir, port))
  rememberPort(dataDir, url)
  child.link.report({ url })
  child.link.onStop(() => server.close())
}

function reportCounts({ link, metrics }: GatewayChild, { gateway, follower }: RunningGateway): void {
  const pending = metrics.gauge('commands_pending', 'Commands received and not yet ended.')
  const ended = (['completed', 'rejected', 'parked'] as const).map((kind) => {
    return [kind, metrics.gauge(`commands_${kind}`, `Commands ${kind} since the database was made.`)] as const
  })
  const events = metrics.gauge('events', 'Events in the database.')
  const active = metrics.gauge('workflows_active', 'Workflows that have something to do; not those that sleep or wait.')
  link.sample(() => {
    const { commands, globalPosition, activations } = gateway.state
    pending.set(commands.byLsn.size)
    active.set(activations.byKey.size)
    events.set(globalPosition)
    for (const [kind, gauge] of ended) gauge.set(commands[kind])
    return progressOf(follower)
  })
}
