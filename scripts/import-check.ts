import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import {
  adapters,
  examplePackages,
  folderTable,
  notPublic,
  outsideModules,
  outsideNames,
  packageOwners,
  publicEntries,
  randomNames,
} from './import-rules.ts'
import type { SourceFile, SourceImport } from './source-file.ts'

export interface Violation {
  readonly rule: string
  readonly path: string
  readonly line: number
  readonly message: string
}

/** Checks the files of src/ and processes/ against import-rules.ts; empty when they keep every rule. */
export function checkImports(files: readonly SourceFile[]): Violation[] {
  const violations = files.flatMap((file) => [
    ...file.imports.flatMap((each) => checkImport(file, each)),
    ...checkPublicEntry(file),
    ...checkOutside(file),
  ])
  return [...violations, ...findCycles(files)]
}

function checkImport(file: SourceFile, each: SourceImport): Violation[] {
  const message = each.specifier.startsWith('.') ? checkFile(file, each) : checkPackage(file, each)
  return message ? [{ path: file.path, line: each.line, ...message }] : []
}

type Finding = Pick<Violation, 'rule' | 'message'>

function checkFile(file: SourceFile, each: SourceImport): Finding | undefined {
  const target = resolveImport(file, each)
  const from = folderOf(file.path)
  const to = folderOf(target)
  if (from === to && from !== undefined) return undefined
  if (!target.startsWith('src/')) {
    return { rule: 'only-src', message: `imports ${target}: the program may import files of src/ only` }
  }
  if (file.path.startsWith('processes/')) return undefined
  if (publicEntries.includes(file.path)) {
    if (to === undefined || !notPublic.includes(to)) return undefined
    return { rule: 'public-entry', message: `re-exports ${target}: ${to} is not public` }
  }
  if (from === 'examples' || to === 'examples') {
    return { rule: 'examples', message: `imports ${target}: examples stand alone and use only the public entries` }
  }
  const allowed = from === undefined ? undefined : folderTable[from]
  if (allowed === undefined) {
    return {
      rule: 'unknown-folder',
      message: `${from ?? file.path} has no line in folderTable of scripts/import-rules.ts`,
    }
  }
  if (to !== undefined && allowed.includes(to)) return undefined
  const list = allowed.length > 0 ? allowed.join(', ') : 'nothing'
  return { rule: 'folder-table', message: `${from} may not import ${to ?? target} (${target}); it may import ${list}` }
}

function checkPackage(file: SourceFile, each: SourceImport): Finding | undefined {
  const { specifier } = each
  if (specifier.startsWith('node:')) return undefined
  if (builtinModules.includes(specifier)) {
    return { rule: 'node-protocol', message: `imports ${specifier}: write node:${specifier}` }
  }
  if (folderOf(file.path) === 'examples') {
    if (examplePackages.includes(specifier)) return undefined
    return { rule: 'examples', message: `imports ${specifier}: an example may import ${examplePackages.join(', ')}` }
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const owner = packageOwners[name]
  if (owner === file.path) return undefined
  return {
    rule: 'package-owner',
    message: owner
      ? `imports ${specifier}: only ${owner} may; use what it exports`
      : `imports ${specifier}, which has no owner file in packageOwners of scripts/import-rules.ts`,
  }
}

function checkPublicEntry(file: SourceFile): Violation[] {
  if (!publicEntries.includes(file.path) || file.ownStatementLine === undefined) return []
  const message = 'a public entry only re-exports: move this statement into the folder that it belongs to'
  return [{ rule: 'public-entry', path: file.path, line: file.ownStatementLine, message }]
}

function checkOutside(file: SourceFile): Violation[] {
  if (adapters.some(({ pattern }) => pattern.test(file.path))) return []
  const names = file.imports.flatMap(({ specifier, typeOnly, names, line }) => {
    if (typeOnly) return []
    if (outsideModules.includes(specifier)) return [{ name: specifier, line }]
    return names.filter((name) => randomNames.includes(name)).map((name) => ({ name, line }))
  })
  const uses = file.uses.filter(({ name }) => outsideNames.includes(name))
  return [...names, ...uses].map(({ name, line }) => ({
    rule: 'adapters-only',
    path: file.path,
    line,
    message: `uses ${name}: take it from kernel/environment.ts or another interface, or make this an adapter by name`,
  }))
}

/** One violation per group of files that import each other in a circle, types included. */
function findCycles(files: readonly SourceFile[]): Violation[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const finished = new Set<string>()
  const violations: Violation[] = []
  const visit = (file: SourceFile, trail: readonly string[]): void => {
    for (const each of file.imports) {
      const target = byPath.get(resolveImport(file, each))
      if (!target || !each.specifier.startsWith('.') || finished.has(target.path)) continue
      const start = trail.indexOf(target.path)
      if (start === -1) visit(target, [...trail, target.path])
      else {
        const message = `imports itself in a circle: ${[...trail.slice(start), target.path].join(' -> ')}`
        violations.push({ rule: 'no-cycles', path: file.path, line: each.line, message })
      }
    }
    finished.add(file.path)
  }
  for (const file of files) if (!finished.has(file.path)) visit(file, [file.path])
  return violations
}

function resolveImport(file: SourceFile, each: SourceImport): string {
  return posix.join(posix.dirname(file.path), each.specifier)
}

/** `src/ipc/channel.ts` is in `ipc`, a file directly in src/ or outside of it in none. */
function folderOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1]
}
