import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { ErrorCode } from '../kernel/errors.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import type { Application } from './application.ts'
import { isApplication } from './application.ts'
import { describe } from './definition.ts'
import type { ImportMap } from './import-map.ts'
import { checkImportMap } from './import-map.ts'
import type { Migration } from './migration.ts'
import { isMigration } from './migration.ts'

type ModuleNamespace = Readonly<Record<string, unknown>>

/**
 * Loads an application module, TypeScript or JavaScript, as it is: no bundler, no sandbox.
 *
 * @param path - relative to the working directory
 * @throws CommanderError `invalid_module` naming the file and the reason in one line
 */
export async function loadApplication(path: string): Promise<Application> {
  const module = await importFile(path, 'invalid_module', 'application module')
  const application = module.default
  if (isApplication(application)) return application
  const found =
    application === undefined ? 'it has no default export' : `its default export is ${describe(application)}`
  throw failure(
    'invalid_module',
    'application module',
    resolve(path),
    `${found}; export default defineApplication({ … })`,
  )
}

/**
 * Loads a config file; the value is not checked yet.
 *
 * @param path - relative to the working directory
 * @throws CommanderError `invalid_config` naming the file and the reason in one line
 */
export async function loadConfigFile(path: string): Promise<unknown> {
  const module = await importFile(path, 'invalid_config', 'config file')
  if (typeof module.default === 'object' && module.default !== null) return module.default
  const found =
    module.default === undefined ? 'it has no default export' : `its default export is ${describe(module.default)}`
  throw failure('invalid_config', 'config file', resolve(path), `${found}; export default defineConfig({ … })`)
}

/**
 * Loads the module of `commanderdb import --map`.
 *
 * @param path - relative to the working directory
 * @throws CommanderError `invalid_module` naming the file and the reason in one line
 */
export async function loadImportMap(path: string): Promise<ImportMap> {
  const module = await importFile(path, 'invalid_module', 'map module')
  return checkImportMap(module, `the map module ${resolve(path)}`)
}

/**
 * Loads the module of `commanderdb stream migrate --module`.
 *
 * @param path - relative to the working directory
 * @throws CommanderError `invalid_module` naming the file and the reason in one line
 */
export async function loadMigration(path: string): Promise<Migration> {
  const module = await importFile(path, 'invalid_module', 'migration module')
  const migration = module.default
  if (isMigration(migration)) return migration
  const found = migration === undefined ? 'it has no default export' : `its default export is ${describe(migration)}`
  throw failure('invalid_module', 'migration module', resolve(path), `${found}; export default defineMigration({ … })`)
}

const configFileNames = ['commanderdb.config.ts', 'commanderdb.config.js', 'commanderdb.config.mjs'] as const

/** Absolute path of the config file in `directory`, if there is one. */
export async function findConfigFile(directory: string): Promise<string | undefined> {
  for (const name of configFileNames) {
    const path = resolve(directory, name)
    if (await isFile(path)) return path
  }
  return undefined
}

async function importFile(path: string, code: ErrorCode, kind: string): Promise<ModuleNamespace> {
  const absolute = resolve(path)
  if (!(await isFile(absolute))) throw failure(code, kind, absolute, 'there is no such file')
  try {
    return (await import(pathToFileURL(absolute).href)) as ModuleNamespace
  } catch (error) {
    throw failure(code, kind, absolute, await reasonOf(error, absolute), error)
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  )
}

function failure(code: ErrorCode, kind: string, path: string, reason: string, cause?: unknown): CommanderError {
  return new CommanderError(code, `the ${kind} ${path} does not load: ${reason}`, { details: { file: path }, cause })
}

/** One line: what is wrong, and on which line where that can be found out. */
async function reasonOf(error: unknown, path: string): Promise<string> {
  const message = messageOf(error).split('\n', 1)[0] ?? ''
  const isNamed = error instanceof Error && !isCommanderError(error) && error.name !== 'Error'
  const reason = isNamed ? `${error.name}: ${message}` : message
  const place = placeIn(error, path) ?? (error instanceof SyntaxError ? await syntaxErrorPlace(path) : undefined)
  const found = (place === undefined ? reason : `${reason} (${place})`) + (await endingHint(message))
  if (!(error instanceof SyntaxError) || !moduleSyntax.test(message)) return found
  const manifest = await commonJsManifest(path)
  return manifest === undefined ? found : `${found}; ${manifest} has "type": "commonjs": write "type": "module" there`
}

/** Of an import that leaves the ending out, or has the one of compiled code, as bundlers and compilers take it. */
async function endingHint(message: string): Promise<string> {
  const [, missing] = /^Cannot find module '([^']+)' imported from /.exec(message) ?? []
  if (missing === undefined) return ''
  const meant = `${missing.replace(/\.js$/, '')}.ts`
  return (await isFile(meant)) ? `; Node takes the name of a file as it is: import ${basename(meant)}` : ''
}

/** What Node says to a module that it does not take for one. */
const moduleSyntax = /^(Cannot use import statement outside a module|Unexpected token 'export')/

/** The package.json that makes a file CommonJS, as the one that `npm init` writes does. */
async function commonJsManifest(path: string): Promise<string | undefined> {
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    const manifest = join(directory, 'package.json')
    const text = await readFile(manifest, 'utf8').catch(() => null)
    if (text !== null) return /"type"\s*:\s*"commonjs"/.test(text) ? manifest : undefined
    if (directory === dirname(directory)) return undefined
  }
}

const ownDirectory = resolve(import.meta.dirname, '..')

/** The first place in the user's code that the stack names: `line 3`, or `/other/file.ts line 3`. */
function placeIn(error: unknown, path: string): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  const beforeLoader = stack.split(/\n\s+at (?:async )?ModuleJob\b/, 1)[0] ?? ''
  let elsewhere: string | undefined
  for (const [, url = '', line = ''] of beforeLoader.matchAll(/(file:\/\/[^\s():]+):(\d+)/g)) {
    const file = fileURLToPath(url)
    if (file === path) return `line ${line}`
    if (!file.startsWith(ownDirectory) && !file.includes('/node_modules/')) elsewhere ??= `${file} line ${line}`
  }
  return elsewhere
}

const checkTimeoutMs = 5000

/** For JavaScript, Node keeps the line of a syntax error to itself, except when it is asked to check the file. */
function syntaxErrorPlace(path: string): Promise<string | undefined> {
  return new Promise((done) => {
    execFile(process.execPath, ['--check', path], { timeout: checkTimeoutMs, env: {} }, (_, __, stderr) => {
      const line = /^\S+:(\d+)\s/.exec(stderr)?.[1]
      done(line === undefined ? undefined : `line ${line}`)
    })
  })
}
