import { expect, it } from 'vitest'
import { type JournalServerSurroundings, startJournalServer } from '../../../src/assembly/start-journal-server.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { systemClock, systemRandom, wakefulScheduler } from '../../../src/kernel/system-environment.ts'
import { ClusterRegistry } from '../../../src/replication/cluster-registry.ts'
import { MemoryMetadata } from '../../../src/replication/memory-metadata-store.ts'
import { MemoryServerDisk } from '../../../src/replication/memory-server-disk.ts'
import { RecordingLog } from '../ipc/recording-log.ts'

it('a journal server that cannot listen is registered nowhere, and one that can is reached as soon as it is registered', async () => {
  const environment = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom, log: new RecordingLog() }
  const metadata = new MemoryMetadata(environment)
  const transport = createMemoryTransport(environment)
  const surroundings = (): JournalServerSurroundings => ({
    ...{ environment, transport, metadata: metadata.open(), host: 'one', device: '8:1' },
    disk: new MemoryServerDisk({ scheduler: environment.scheduler }),
    failed: (error) => expect.unreachable(error.message),
  })
  const registry = new ClusterRegistry(metadata.open(), environment)
  const other = await transport.listen('s1', () => ({ frame: () => {}, closed: () => {} }))
  const start = () => startJournalServer(surroundings(), { serverId: 's1', listen: 's1' })
  await expect(start()).rejects.toThrow('somebody listens at s1 already')
  expect(await registry.servers()).toEqual([])
  await other.close()
  const server = await start()
  expect(await registry.servers()).toMatchObject([{ id: 's1', address: 's1' }])
  const opened = Promise.withResolvers<string>()
  transport.connect('s1', (channel) => ({
    opened: () => {
      opened.resolve('there')
      channel.close()
    },
    frame: () => {},
    closed: () => {},
  }))
  expect(await opened.promise).toBe('there')
  await server.stop()
})
