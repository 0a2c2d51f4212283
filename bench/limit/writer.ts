import { fdatasync, fsyncSync, openSync, writeSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { socketIn, standBy } from './follow.ts'
import { Deframer, headerOnly, kindAt, kinds, numberAt } from './frame.ts'

/** Entries are visible to the other processes once written, and to the client once flushed. */
const directory = process.argv[2] as string
const segmentBytes = 268_435_456
const zeroBytes = 1_048_576

let followers: { readonly socket: Socket; readonly wantsFlushed: boolean }[] = []
let nextLsn = 1
let gathered: Buffer[] = []
let gatheredBytes = 0
let isAppendDue = false
let isFlushing = false
let at = 0
let writtenLsn = 0

const file = zeroFilledFile()
createServer(accept).listen(socketIn(directory), standBy)

function zeroFilledFile(): number {
  const opened = openSync(join(directory, 'segment'), 'w')
  const zeros = Buffer.alloc(zeroBytes)
  for (let filled = 0; filled < segmentBytes; filled += zeroBytes) writeSync(opened, zeros)
  fsyncSync(opened)
  return opened
}

function accept(socket: Socket): void {
  const deframer = new Deframer((buffer, start, length) => {
    if (kindAt(buffer, start) === kinds.subscribe) {
      followers.push({ socket, wantsFlushed: numberAt(buffer, start) === 1 })
      socket.write(headerOnly(kinds.welcome, 0))
      return
    }
    buffer.writeDoubleLE(nextLsn++, start + 8)
    gathered.push(buffer.subarray(start, start + length))
    gatheredBytes += length
    if (isAppendDue) return
    isAppendDue = true
    setImmediate(append)
  })
  socket.on('data', (chunk) => deframer.push(chunk))
  socket.on('error', () => {})
  socket.on('close', () => {
    followers = followers.filter((follower) => follower.socket !== socket)
  })
}

function append(): void {
  isAppendDue = false
  const batch = Buffer.concat(gathered, gatheredBytes)
  gathered = []
  gatheredBytes = 0
  if (at + batch.length > segmentBytes) at = 0
  writeSync(file, batch, 0, batch.length, at)
  at += batch.length
  writtenLsn = nextLsn - 1
  for (const { socket } of followers) socket.write(batch)
  if (!isFlushing) flush()
}

function flush(): void {
  isFlushing = true
  const upTo = writtenLsn
  fdatasync(file, (error) => {
    if (error !== null) throw error
    const watermark = headerOnly(kinds.flushed, upTo)
    for (const { socket, wantsFlushed } of followers) if (wantsFlushed) socket.write(watermark)
    if (writtenLsn > upTo) flush()
    else isFlushing = false
  })
}
