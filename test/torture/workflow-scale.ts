import { fixtureApplication, RunningDatabase, residentBytesOf, until } from '../process/running-database.ts'
import { startWorkflow, untilStatus, viewOf, WorkflowDiary } from '../process/workflow-diary.ts'

/**
 * How workflows of many requests, and many workflows, weigh: run by hand, prints figures.
 *
 * node test/torture/workflow-scale.ts [requests] [sleepers]
 */
const [requests = 100_000, sleepers = 10_000] = process.argv.slice(2).map(Number)
const application = 'application-journeys-1'
const write = (line: string): void => void process.stdout.write(`${line}\n`)
const mib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`

const diary = new WorkflowDiary()
const resources = { env: { DIARY: diary.directory } }
const database = await RunningDatabase.start({ applications: [{ module: fixtureApplication('journeys'), resources }] })
try {
  const client = await database.connect()
  const resident = async (): Promise<number> => residentBytesOf(await database.pidOf(application))
  write(`application at first: ${mib(await resident())}`)

  for (let at = 0; at < sleepers; at += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, i) => startWorkflow(client, 'sleeper', `${at + i}`, {})))
    if ((at + 500) % 2_000 === 0) write(`application with ${at + 500} sleeping workflows: ${mib(await resident())}`)
  }
  const killed = await database.signal(application, 'SIGKILL')
  await until('the application to be back', async () => {
    const status = await database.status()
    return status?.ready === true && (await database.pidOf(application)) !== killed
  })
  write(`application started anew with them: ${mib(await resident())}`)

  let startedMs = performance.now()
  await startWorkflow(client, 'long', 'a', { requests, pauseAt: requests - 2 })
  const isThere = async (): Promise<boolean> => {
    const { completedRequests } = (await viewOf(client, 'long', 'a')) as unknown as { completedRequests: number }
    return completedRequests === requests - 1
  }
  while (!(await isThere())) await new Promise((resolve) => setTimeout(resolve, 500))
  const seconds = (performance.now() - startedMs) / 1000
  write(
    `${requests} requests: ${seconds.toFixed(1)} s, ${(requests / seconds).toFixed(0)} a second, application ${mib(await resident())}`,
  )
  await database.signal(application, 'SIGKILL')
  startedMs = performance.now()
  await client.execute('workflow:long', 'a', 'signal', { name: 'go' })
  await untilStatus(client, 'long', 'a', 'completed')
  const runs = diary.lines.filter(({ what }) => what === 'runs').length
  write(
    `resumed and ended ${((performance.now() - startedMs) / 1000).toFixed(2)} s after kill -9, ${runs} runs of its code, application ${mib(await resident())}`,
  )
} finally {
  await database.remove()
  diary.remove()
}
