import { join } from 'node:path'
import { digest16 } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'

/** Socket paths end at 103 bytes on macOS and at 107 on Linux; some room is left. */
export const socketPathBytesMax = 100

export interface SocketHost {
  /** `os.tmpdir()`: must be the same for both sides. */
  readonly temporaryDirectory: string
  /** Numeric user id, or -1 where there are none. */
  readonly userId: number
}

/**
 * Where the socket of an address really lies. A path that is too long for the operating system stands for a short one
 * below the temporary directory, in a directory of this user, that both sides compute alike.
 *
 * @param realPath absolute, with the symbolic links of its directory resolved.
 * @throws CommanderError `invalid_config` when the temporary directory itself is too long.
 */
export function socketPathOf(realPath: string, host: SocketHost): string {
  if (Buffer.byteLength(realPath) <= socketPathBytesMax) return realPath
  const name = `${digest16(Buffer.from(realPath)).toString('hex')}.sock`
  const path = join(host.temporaryDirectory, `commanderdb-ipc-${host.userId}`, name)
  if (Buffer.byteLength(path) <= socketPathBytesMax) return path
  throw new CommanderError(
    'invalid_config',
    `no socket path for ${realPath}: it and ${path} are over ${socketPathBytesMax} bytes; use a shorter data directory or TMPDIR`,
  )
}
