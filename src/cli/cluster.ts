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
  await terminal.out(flags['json'] === true ? `${JSON.stringify(overview)}\n` : clusterText(overview))
  return exitCodes.done
}

export async function servers(terminal: Terminal, flags: Flags): Promise<number> {
  const overview = await withCluster(flags, ({ operator }) => operator.overview())
  const text =
    flags['json'] === true ? `${JSON.stringify({ servers: overview.servers })}\n` : serversText(overview.servers)
  await terminal.out(text)
  return exitCodes.done
}
