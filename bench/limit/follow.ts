import { flushCompileCache } from 'node:module'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { Deframer, headerOnly, kindAt, kinds, type OnFrame } from './frame.ts'

export const socketIn = (directory: string): string => join(directory, 'journal.sock')

/** Connects to the writer and follows its entries; resolves once the writer has this follower on its list. */
export function follow(directory: string, wantsFlushed: boolean, onFrame: OnFrame): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketIn(directory))
    const deframer = new Deframer((buffer, at, length) => {
      if (kindAt(buffer, at) === kinds.welcome) resolve(socket)
      else onFrame(buffer, at, length)
    })
    socket.on('data', (chunk) => deframer.push(chunk))
    socket.on('error', reject)
    socket.write(headerOnly(kinds.subscribe, wantsFlushed ? 1 : 0))
  })
}

/** What every process of the limit but the client does when it works, and when its parent is gone. */
export function standBy(): void {
  // They are killed in the end, and Node writes its cache at a normal exit only.
  flushCompileCache()
  process.send?.('ready')
  process.on('disconnect', () => process.exit())
}
