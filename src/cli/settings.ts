import { resolve } from 'node:path'
import { findConfigFile, loadConfigFile } from '../sdk/load-module-adapter.ts'
import { type ConfigResolution, resolveConfig } from '../sdk/resolve-config.ts'

/** Flags by attribute, as the parser of the command line hands them over. */
export type Flags = Readonly<Record<string, unknown>>

/**
 * The config of this command line: flags, `COMMANDERDB_…` variables, and the config file that `--config` names or that
 * the working directory has.
 *
 * @throws CommanderError `invalid_config`
 */
export async function readSettings(flags: Flags): Promise<ConfigResolution> {
  const cwd = process.cwd()
  const named = flags['config']
  const fileName = typeof named === 'string' ? resolve(named) : await findConfigFile(cwd)
  const sources = { env: process.env, flags: withHttpPort(flags), cwd }
  if (fileName === undefined) return resolveConfig(sources)
  return resolveConfig({ ...sources, file: await loadConfigFile(fileName), fileName })
}

/** `--no-http` says the same as `--http-port false`. */
function withHttpPort(flags: Flags): Flags {
  return flags['http'] === false ? { ...flags, httpPort: 'false' } : flags
}

/** Absolute path of the data directory. The config file is read only where nothing nearer says it. */
export async function findDataDirectory(flags: Flags): Promise<string> {
  const { dataDir } = flags
  if (typeof dataDir === 'string' && dataDir !== '') return resolve(dataDir)
  const { config } = await readSettings(flags)
  return config.dataDir
}
