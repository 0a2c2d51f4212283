import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import type { ProvisionedServer } from '../replication/orchestrator.ts'
import { ControlOrchestrator } from '../supervisor/control-orchestrator.ts'
import { parseInteger } from './arguments.ts'
import { withCluster } from './cluster-place.ts'
import { exitCodes } from './exit-code.ts'
import type { Flags } from './settings.ts'
import { controlClient, noDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'

/** Returns when they are registered. */
export async function provision(terminal: Terminal, count: string, flags: Flags): Promise<number> {
  const wanted = parseInteger('N', count, 1, limits.provisionedAtOnceMax)
  const servers = await withCluster(flags, async ({ operator, dataDir }) => {
    const ids = await onHost(dataDir, (orchestrator) => orchestrator.provision(wanted))
    return operator.registered(ids)
  })
  const provisioned = servers.map(({ id, address }) => ({ id, address }))
  const lines = provisioned.map(({ id, address }) => `provisioned ${id} at ${address}\n`).join('')
  await terminal.out(flags['json'] === true ? `${JSON.stringify({ provisioned })}\n` : lines)
  return exitCodes.done
}

/** Returns when no segment names it any more, and its process has ended where it is one of this host. */
export async function deprovision(terminal: Terminal, id: string, flags: Flags): Promise<number> {
  const result = await withCluster(flags, async ({ operator, dataDir }) => {
    const isOurs = (await serversOf(dataDir)).some((server) => server.id === id)
    const isKnown = (await operator.facts()).servers.some((server) => server.id === id)
    // One that was deregistered by an earlier try, and runs still.
    if (isKnown || !isOurs) await operator.deregister(id)
    if (isOurs) await onHost(dataDir, (orchestrator) => orchestrator.deprovision(id))
    return { deregistered: id, ended: isOurs }
  })
  const how = result.ended
    ? 'its process has ended, and its data is set aside'
    : 'it does not run on the host of --data-dir: say the same there, which ends its process'
  const text = `${id} is out of the cluster; ${how}\n`
  await terminal.out(flags['json'] === true ? `${JSON.stringify(result)}\n` : text)
  return exitCodes.done
}

/** None where no supervisor runs. */
async function serversOf(dataDir: string): Promise<readonly ProvisionedServer[]> {
  try {
    return await new ControlOrchestrator(controlClient(dataDir)).list()
  } catch (error) {
    const isNone = isCommanderError(error) && (error.code === 'no_database' || error.code === 'not_found')
    if (isNone) return []
    throw error
  }
}

async function onHost<Result>(
  dataDir: string,
  use: (orchestrator: ControlOrchestrator) => Promise<Result>,
): Promise<Result> {
  try {
    return await use(new ControlOrchestrator(controlClient(dataDir)))
  } catch (error) {
    throw isCommanderError(error) && error.code === 'no_database' ? noHost(dataDir, error) : error
  }
}

function noHost(dataDir: string, cause: CommanderError): CommanderError {
  const { message } = noDatabase(dataDir, cause)
  return new CommanderError('no_database', `${message}: its supervisor starts and ends journal servers`, { cause })
}
