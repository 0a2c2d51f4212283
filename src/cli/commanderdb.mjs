#!/usr/bin/env node
// Plain JavaScript without newer syntax, because its first duty is to run on a Node that is too old and say so.
import { existsSync, lstatSync, mkdirSync } from 'node:fs'
import module from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The first version that strips types without a flag; keep equal to `engines.node` in package.json (a test compares). */
const needed = [22, 18]

const found = process.versions.node.split('.').map(Number)
const tooOld = found[0] < needed[0] || (found[0] === needed[0] && found[1] < needed[1])

/** Node trusts compiled code that it kept, so it is kept where only this user can write; see compile-cache-adapter.ts. */
function keepCompiledCode() {
  const userId = process.getuid ? process.getuid() : undefined
  const directory = join(tmpdir(), `commanderdb-${userId === undefined ? 'user' : userId}`)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const stat = lstatSync(directory)
    const isPrivate = stat.isDirectory() && (userId === undefined || (stat.uid === userId && (stat.mode & 0o077) === 0))
    if (!isPrivate || process.env.NODE_COMPILE_CACHE !== undefined) return
    module.enableCompileCache(join(directory, 'compile-cache'))
    // For threads, which do not take it over: without it each would load the compiler that strips types.
    process.env.NODE_COMPILE_CACHE = join(directory, 'compile-cache')
  } catch {
    // Everything works without it, slower.
  }
}

if (tooOld) {
  process.stderr.write(
    `commanderdb: Node ${process.versions.node} is too old, ${needed.join('.')} or newer is needed: ` +
      'in a clone run it by `npx commanderdb` or an npm script after `npm ci` (they bring their own Node), ' +
      `elsewhere install Node ${needed.join('.')} or newer.\n`,
  )
  process.exitCode = 2
} else {
  keepCompiledCode()
  // In the clone main is TypeScript, run as it is; in the package it is compiled, because Node strips no types below node_modules.
  const source = new URL('./main.ts', import.meta.url)
  const main = await import(existsSync(source) ? source.href : new URL('./main.js', import.meta.url).href)
  process.exitCode = await main.runCli(process.argv.slice(2))
}
