import type { NodeOverview, ServerOverview } from '../replication/cluster-overview.ts'
import { withCluster } from './cluster-place.ts'
import { clusterText, serversText } from './cluster-text.ts'
import { exitCodes } from './exit-code.ts'
import type { Flags } from './settings.ts'
import type { Terminal } from './terminal.ts'

export async function status(terminal: Terminal, flags: Flags): Promise<number> {
  const overview = await withCluster(flags, async ({ operator, metadata }) => ({
    metadata,
    ...(await operator.overview()),
  }))
  if (flags['json'] === true) await terminal.out(`${JSON.stringify(overview)}\n`)
  else {
    await terminal.out(clusterText(overview))
    warnOfSilent(terminal, 'node', overview.nodes)
    warnOfSilent(terminal, 'journal server', overview.servers)
  }
  return exitCodes.done
}

export async function servers(terminal: Terminal, flags: Flags): Promise<number> {
  const overview = await withCluster(flags, ({ operator }) => operator.overview())
  if (flags['json'] === true) await terminal.out(`${JSON.stringify({ servers: overview.servers })}\n`)
  else {
    await terminal.out(serversText(overview.servers))
    warnOfSilent(terminal, 'journal server', overview.servers)
  }
  return exitCodes.done
}

/** Why a table says so: it may be us, and not them. With `--json` it is in what is printed. */
function warnOfSilent(
  terminal: Terminal,
  what: string,
  ones: readonly Pick<NodeOverview | ServerOverview, 'id' | 'error'>[],
): void {
  for (const { id, error } of ones) if (error !== null) terminal.warn(`${what} ${id} was not reached: ${error}`)
}
