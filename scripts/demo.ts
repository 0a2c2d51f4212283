import { join, relative, resolve } from 'node:path'
import { connect, type Database } from 'commanderdb/client'
import { measure } from './demo-load.ts'
import { DemoTerminal } from './demo-terminal.ts'
import { programOptions } from './program-options.ts'

const usage = `npm start -- [--data-dir DIR] [--http-port N] [--once]

A database with the bank example in ./data, driven through the real command line and client.

  --data-dir DIR     another directory
  --http-port N      another port than 7400; 0 takes any free one
  --once             stop the database at the end instead of leaving it running`
const root = resolve(import.meta.dirname, '..')
const application = join(root, 'src', 'examples', 'bank', 'bank.ts')
const loadMs = 3000
const loadOnceMs = 1000

async function main(): Promise<number> {
  const { values } = programOptions(
    { name: 'start', usage },
    {
      'data-dir': { type: 'string', default: './data' },
      'http-port': { type: 'string' },
      once: { type: 'boolean', default: false },
    },
  )
  const dataDir = values['data-dir']
  const terminal = new DemoTerminal(['--data-dir', dataDir])
  terminal.say('CommanderDB runs the bank example: commands go in, events come out, balances are folded from them.')
  terminal.say(
    'First the database: a journal writer, a dispatcher, a projection applier, a gateway and the application.',
  )
  const port = values['http-port'] === undefined ? [] : ['--http-port', values['http-port']]
  const database = await terminal.start(['--app', relative(process.cwd(), application), ...port])
  if (database === null) return terminal.failed
  const db = await connect({ dataDir })
  try {
    const account = await freeAccount(db)
    await showCommands(terminal, account)
    await showLoad(terminal, db, `saver-${account}`, values.once ? loadOnceMs : loadMs)
  } finally {
    await db.close()
  }
  if (values.once) {
    await terminal.commanderdb('stop')
    return database.ended
  }
  tellHowToGoOn(terminal, database.url, dataDir)
  return database.ended
}

/** A demonstration in the same directory before this one has accounts of its own. */
async function freeAccount(db: Database): Promise<string> {
  for (let n = 1; ; n++) {
    const id = n === 1 ? 'anna' : `anna-${n}`
    if ((await db.read('account', id)).revision === 0) return id
  }
}

async function showCommands(terminal: DemoTerminal, id: string): Promise<void> {
  const account = `account/${id}`
  terminal.say('An account is opened, and money comes in. Each answer means: decided, and on the disk.')
  await terminal.commanderdb('send', account, 'open', '{}')
  await terminal.commanderdb('send', account, 'deposit', '{"amountCents":250000}', '--idempotency-key', `salary-${id}`)
  terminal.say('The same call again, as after a lost answer: its key gives the first outcome, and no second deposit.')
  await terminal.commanderdb('send', account, 'deposit', '{"amountCents":250000}', '--idempotency-key', `salary-${id}`)
  terminal.say('The application says no to what the balance does not allow (exit code 3):')
  await terminal.commanderdb('send', account, 'withdraw', '{"amountCents":900000}')
  await terminal.commanderdb('send', account, 'withdraw', '{"amountCents":4250}', '--wait', 'applied')
  terminal.say('The state, the events that it is folded from, and the read model:')
  await terminal.commanderdb('state', account)
  await terminal.commanderdb('stream', 'read', account)
  await terminal.commanderdb('projection', 'get', 'balances', id)
}

async function showLoad(terminal: DemoTerminal, db: Database, prefix: string, durationMs: number): Promise<void> {
  terminal.say(`Now ${durationMs / 1000} s of deposits from one client, 256 under way, each flushed before its answer:`)
  const { commands, seconds, p50Ms, p99Ms, acknowledgedCents, storedCents } = await measure(db, prefix, durationMs)
  const rate = Math.round(commands / seconds).toLocaleString('en')
  terminal.print(`${commands.toLocaleString('en')} commands in ${seconds.toFixed(1)} s: ${rate} a second,`)
  terminal.print(`half of them answered within ${p50Ms.toFixed(1)} ms, 99 % within ${p99Ms.toFixed(1)} ms`)
  terminal.print(`acknowledged ${acknowledgedCents} cents, in the read model ${storedCents} cents`)
  if (acknowledgedCents !== storedCents) throw new Error('the read model does not add up to what was acknowledged')
  await terminal.commanderdb('status')
}

function tellHowToGoOn(terminal: DemoTerminal, url: string | null, dataDir: string): void {
  const directory = dataDir === './data' ? '' : ` --data-dir ${dataDir}`
  terminal.say('The database keeps running here until Ctrl-C. From another terminal:')
  terminal.print(`npx commanderdb send account/anna deposit '{"amountCents":100}'${directory}`)
  terminal.print(`npx commanderdb events --follow${directory}`)
  terminal.print(`npx commanderdb status${directory}`)
  terminal.print('npx commanderdb --help')
  if (url === null) return
  const path = 'v1/aggregates/account/anna'
  terminal.print(`curl ${url}/${path}`)
  terminal.print(`curl ${url}/${path}/commands/deposit -H 'content-type: application/json' -d '{"amountCents":100}'`)
  terminal.print(`curl ${url}/openapi.json`)
}

process.exitCode = await main()
