import { once } from 'node:events'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ControlOrchestrator } from '../../src/supervisor/control-orchestrator.ts'
import { requestStop } from '../../src/supervisor/status-client.ts'
import { isAlive, SupervisedHost, until } from './supervised-host.ts'

let host: SupervisedHost
let orchestrator: ControlOrchestrator

beforeEach(() => {
  host = new SupervisedHost()
  orchestrator = new ControlOrchestrator(host.client)
})
afterEach(() => host.remove())

/** The states of all servers, once the supervisor answers. */
const states = (): Promise<string[]> =>
  orchestrator.list().then(
    (servers) => servers.map(({ state }) => state),
    () => [],
  )
const allReady = (count: number): Promise<boolean> =>
  until(`${count} journal servers`, async () => {
    const now = await states()
    return now.length === count && now.every((state) => state === 'ready')
  })

it('starts processes that come back when they are killed and when the host starts again, and ends those it is told to', async () => {
  const first = host.startOrchestrating()
  await until('the supervisor', () =>
    orchestrator.list().then(
      () => true,
      () => false,
    ),
  )
  const [one = '', two = ''] = await orchestrator.provision(2)
  await allReady(2)
  const { pid } = await host.life(`journal-server-${one}`, 1)
  process.kill(pid, 'SIGKILL')
  await host.life(`journal-server-${one}`, 2)
  await allReady(2)
  await orchestrator.deprovision(one)
  expect(host.starts(`journal-server-${one}`).every((life) => !isAlive(life.pid))).toBe(true)
  expect(host.diary.filter(({ name, event }) => name === `journal-server-${one}` && event === 'stop')).toHaveLength(1)
  expect((await orchestrator.list()).map(({ id }) => id)).toEqual([two])
  await expect(orchestrator.deprovision(one)).rejects.toMatchObject({ code: 'not_found' })

  // With the supervisor all of its children end, and nobody is told.
  const gone = once(first, 'exit')
  first.kill('SIGKILL')
  await gone
  await until('the end of all', () => host.diary.every((life) => !isAlive(life.pid)))
  const second = host.startOrchestrating()
  await allReady(1)
  expect(host.starts(`journal-server-${two}`)).toHaveLength(2)
  expect(host.starts(`journal-server-${one}`)).toHaveLength(2)
  // Whoever has not begun yet is not asked to end.
  await host.life('writer', 2)

  const ended = once(second, 'exit')
  await requestStop(host.client)
  expect(await ended).toEqual([0, null])
  const stops = host.diary.filter(({ event }) => event === 'stop').map(({ name }) => name)
  expect(stops.slice(-2)).toEqual(['writer', `journal-server-${two}`])
})
