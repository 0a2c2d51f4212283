import type { Socket } from 'node:net'
import type { CommanderError } from '../kernel/errors.ts'
import type { BytePipe } from './byte-pipe.ts'
import type { Link } from './link.ts'

/** Tells the link when nothing more will come: at the peer's end, or at the close that an error brings. */
export function followSocket(
  socket: Socket,
  link: Link,
  errorOf: (address: string, cause: unknown) => CommanderError,
  over: () => void,
): void {
  let failure: CommanderError | null = null
  socket.on('error', (cause) => {
    failure = errorOf(link.peer, cause)
  })
  socket.on('end', () => link.ended(null))
  socket.on('close', () => {
    link.ended(failure)
    over()
  })
}

/** A socket, of the file system or of TLS, as the pipe of a link. */
export class SocketPipe implements BytePipe {
  socket: Socket | null

  constructor(socket: Socket | null) {
    this.socket = socket
  }

  write(buffers: readonly Buffer[]): void {
    const socket = this.socket
    if (socket === null || !socket.writable) return
    if (buffers.length === 1) {
      socket.write(buffers[0] as Buffer)
      return
    }
    socket.cork()
    for (const buffer of buffers) socket.write(buffer)
    socket.uncork()
  }

  end(): void {
    this.socket?.end()
  }

  destroy(): void {
    this.socket?.destroy()
  }
}
