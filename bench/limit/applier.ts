import { join } from 'node:path'
import { open } from 'lmdb'
import { follow, standBy } from './follow.ts'
import { headerBytes, kindAt, kinds } from './frame.ts'
import { type Completed, packr } from './messages.ts'

const directory = process.argv[2] as string
const store = open({ path: join(directory, 'store'), noSync: true })
const events = store.openDB<Buffer, number>({ name: 'events', encoding: 'binary', keyEncoding: 'uint32' })
const streams = store.openDB<Buffer, [string, number]>({ name: 'streams', encoding: 'binary' })
let position = 0

/** Two puts an event. */
await follow(directory, false, (buffer, at, length) => {
  if (kindAt(buffer, at) !== kinds.completed) return
  const body = Buffer.from(buffer.subarray(at + headerBytes, at + length))
  const completed = packr.unpack(body) as Completed
  for (const _ of completed.events) {
    position++
    events.put(position, body)
    streams.put([completed.aggregate, completed.revision], Buffer.from(String(position)))
  }
})
standBy()
