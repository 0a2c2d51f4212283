import { createRequire } from 'node:module'
import { Command, CommanderError as UsageError } from 'commander'

// By the package's own name, because the distance to package.json differs between src/ and dist/src/.
const { version } = createRequire(import.meta.url)('commanderdb/package.json') as { version: string }

/** Runs one command line; resolves to the exit code. */
export async function runCli(argv: string[]): Promise<number> {
  const program = new Command('commanderdb').version(version).exitOverride()
  try {
    await program.parseAsync(argv, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof UsageError) return error.exitCode === 0 ? 0 : 2
    throw error
  }
}
