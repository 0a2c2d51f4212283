import { fdatasync, openSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Deframer, headerOnly, kinds, numberAt } from './frame.ts'

const directory = process.argv[2] as string
const name = process.argv[3] as string

/** As large as what a run of the bench writes at most; in place, as in a segment that was filled with zeros ahead. */
const fileBytes = 33_554_432

const file = openSync(join(directory, `${name}.log`), 'w')
writeSync(file, Buffer.alloc(fileBytes))
let end = 0
let newest = 0
let isFlushing = false

/** One flush at a time; what comes meanwhile shares the next one. */
function flush(acknowledge: (upTo: number) => void): void {
  const upTo = newest
  isFlushing = true
  fdatasync(file, (error) => {
    if (error !== null) throw error
    isFlushing = false
    acknowledge(upTo)
    if (newest > upTo) flush(acknowledge)
  })
}

const server = createServer((socket) => {
  const acknowledge = (upTo: number): void => {
    socket.write(headerOnly(kinds.flushed, upTo))
  }
  const deframer = new Deframer((buffer, at, length) => {
    if (end + length > fileBytes) end = 0
    writeSync(file, buffer, at, length, end)
    end += length
    newest = numberAt(buffer, at)
    if (!isFlushing) flush(acknowledge)
  })
  socket.on('data', (chunk) => deframer.push(chunk as Buffer))
})
server.listen(join(directory, `${name}.sock`), () => process.send?.('ready'))
