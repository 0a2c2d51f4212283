import { type ChildProcess, spawn } from 'node:child_process'
import { watch } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/**
 * `npm run dev -- [flags of commanderdb start]`: the database, with the bank example where no --app is given, started
 * again whenever a source file or an application module changes. What it has in its directory stays.
 */
const root = resolve(import.meta.dirname, '..')
const program = join(root, 'src', 'cli', 'commanderdb.mjs')
const given = process.argv.slice(2)
const bank = join(root, 'src', 'examples', 'bank', 'bank.ts')
const flags = given.includes('--app') ? given : ['--app', bank, ...given]

/** Editors write a file in several steps. */
const settleMs = 200
const sourceFile = /\.([cm]?ts|[cm]?js|json)$/

let database: ChildProcess | null = null
let restartWanted = false
let isStopping = false
let timer: NodeJS.Timeout | undefined

const say = (text: string): void => void process.stderr.write(`dev: ${text}\n`)

function start(): void {
  restartWanted = false
  const child = spawn(process.execPath, [program, 'start', ...flags], { stdio: 'inherit' })
  database = child
  child.once('exit', (code, signal) => {
    database = null
    if (isStopping) process.exit(code ?? 1)
    if (restartWanted) start()
    else say(`the database ended with ${signal ?? `exit code ${code}`}; it starts again with the next change`)
  })
}

function changed(name: string | null): void {
  if (isStopping || name === null || !sourceFile.test(name)) return
  clearTimeout(timer)
  timer = setTimeout(() => {
    say(`${name} changed`)
    if (database === null) return start()
    restartWanted = true
    database.kill('SIGTERM')
  }, settleMs)
}

function stop(): void {
  isStopping = true
  clearTimeout(timer)
  if (database === null) process.exit(0)
  // Ctrl-C has reached it already; asked twice, it still stops once.
  database.kill('SIGTERM')
}

const modules = flags.flatMap((flag, index) => (flags[index - 1] === '--app' ? [dirname(resolve(flag))] : []))
const directories = new Set([join(root, 'src'), join(root, 'processes'), ...modules])
for (const directory of directories) {
  const isOwn = directory.startsWith(root)
  watch(directory, { recursive: isOwn && !directory.includes('node_modules') }, (_, name) => changed(name))
}
process.on('SIGINT', stop).on('SIGTERM', stop)
start()
