import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface RememberedPort {
  readonly supervisor: number
  readonly port: number
}

const fileOf = (dataDir: string): string => join(dataDir, 'run', 'http-port.json')

/**
 * With port 0 any free port is taken, and told to people when the database is ready. A gateway that is started again
 * by the same supervisor takes that one again: clients hold its URL.
 */
export function portToTake(dataDir: string, port: number): number {
  if (port !== 0) return port
  try {
    const remembered = JSON.parse(readFileSync(fileOf(dataDir), 'utf8')) as RememberedPort
    return remembered.supervisor === process.ppid ? remembered.port : 0
  } catch {
    return 0
  }
}

export function rememberPort(dataDir: string, url: string): void {
  const remembered: RememberedPort = { supervisor: process.ppid, port: Number(new URL(url).port) }
  writeFileSync(fileOf(dataDir), JSON.stringify(remembered), { mode: 0o600 })
}
