import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { type Node, type ParseResult, parseSync, visitorKeys } from 'oxc-parser'

export interface SourceImport {
  readonly specifier: string
  readonly line: number
  /** Erased before the program runs: `import type` and `export type … from`. */
  readonly typeOnly: boolean
  /** Names as the imported module calls them; empty for `import 'x'`, `export *` and dynamic imports. */
  readonly names: readonly string[]
}

export interface SourceUse {
  readonly name: string
  readonly line: number
}

/** What the rules need to know of one file. Paths are relative to the root, with forward slashes. */
export interface SourceFile {
  readonly path: string
  readonly imports: readonly SourceImport[]
  /** Names that the program reads: `setTimeout`, and with one member `Date.now`, `process.env`; `new Date()` as such. */
  readonly uses: readonly SourceUse[]
  /** Line of the first statement that is no re-export, `undefined` where there is none. */
  readonly ownStatementLine: number | undefined
}

/** Reads every TypeScript and JavaScript file below the folders; a folder that is not there has none. */
export function readSourceFiles(root: string, folders: readonly string[]): SourceFile[] {
  return folders
    .map((folder) => join(root, folder))
    .filter((folder) => existsSync(folder))
    .flatMap(filesBelow)
    .filter((path) => /\.m?[jt]s$/.test(path))
    .map((path) => parseSourceFile(relative(root, path).split(sep).join('/'), readFileSync(path, 'utf8')))
}

/** Every file below a folder, sorted by path, without what is installed or generated. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/(^|\/)(node_modules|dist|data)\//.test(relative(folder, path)))
    .sort()
}

export function parseSourceFile(path: string, text: string): SourceFile {
  const parsed = parseSync(path, text)
  const [error] = parsed.errors
  if (error) throw new Error(`${path} does not parse: ${error.message}`)
  const lineAt = lineFinder(text)
  const { uses, typeImports } = walk(parsed, lineAt)
  const own = parsed.program.body.find((statement) => !isReExport(statement))
  return {
    path,
    imports: [...importsOf(parsed, text, lineAt), ...typeImports],
    uses,
    ownStatementLine: own && lineAt(own.start),
  }
}

type LineAt = (offset: number) => number

function lineFinder(text: string): LineAt {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => starts.findLastIndex((start) => start <= offset) + 1
}

function importsOf(parsed: ParseResult, text: string, lineAt: LineAt): SourceImport[] {
  const imports = parsed.module.staticImports.map((statement) => ({
    specifier: statement.moduleRequest.value,
    line: lineAt(statement.start),
    typeOnly: statement.entries.length > 0 && statement.entries.every((entry) => entry.isType),
    names: statement.entries.flatMap((entry) => (entry.isType ? [] : (entry.importName.name ?? []))),
  }))
  const reExports = parsed.module.staticExports.flatMap((statement) => {
    const [entry] = statement.entries
    if (!entry?.moduleRequest) return []
    const typeOnly = statement.entries.every((each) => each.isType)
    return [{ specifier: entry.moduleRequest.value, line: lineAt(statement.start), typeOnly, names: [] }]
  })
  // Only literals: a computed specifier, such as a user's module, names no file of the project.
  const dynamic = parsed.module.dynamicImports.flatMap(({ moduleRequest, start }) => {
    const literal = /^(['"`])([^'"`$]+)\1$/.exec(text.slice(moduleRequest.start, moduleRequest.end))
    return literal?.[2] ? [{ specifier: literal[2], line: lineAt(start), typeOnly: false, names: [] }] : []
  })
  return [...imports, ...reExports, ...dynamic]
}

function isReExport(statement: Node): boolean {
  if (statement.type === 'ExportAllDeclaration') return true
  return statement.type === 'ExportNamedDeclaration' && statement.source !== null
}

interface Found {
  readonly uses: SourceUse[]
  readonly typeImports: SourceImport[]
}

function walk(parsed: ParseResult, lineAt: LineAt): Found {
  const found: Found = { uses: [], typeImports: [] }
  const visit = (node: Node, parent: Node | undefined): void => {
    collect(node, parent, lineAt, found)
    const fields = node as unknown as Record<string, Node | (Node | null)[] | null | undefined>
    for (const key of visitorKeys[node.type] ?? []) {
      const value = fields[key]
      for (const child of Array.isArray(value) ? value : [value]) if (child) visit(child, node)
    }
  }
  visit(parsed.program, undefined)
  return found
}

function collect(node: Node, parent: Node | undefined, lineAt: LineAt, found: Found): void {
  const line = lineAt(node.start)
  switch (node.type) {
    case 'Identifier':
      if (!isMemberName(node, parent)) found.uses.push({ name: node.name, line })
      break
    case 'MemberExpression': {
      const name = dottedName(node)
      if (name) found.uses.push({ name: name.replace(/^globalThis\./, ''), line })
      break
    }
    case 'NewExpression':
    case 'CallExpression':
      // With an argument it converts a given time; without one it reads the clock.
      if (node.callee.type === 'Identifier' && node.callee.name === 'Date' && node.arguments.length === 0) {
        found.uses.push({ name: 'new Date()', line })
      }
      break
    case 'TSImportType':
      found.typeImports.push({ specifier: node.source.value, line, typeOnly: true, names: [] })
      break
  }
}

/** `a.b.c` as text; `undefined` where the chain starts with anything but a name. */
function dottedName(node: Node): string | undefined {
  if (node.type === 'Identifier') return node.name
  if (node.type !== 'MemberExpression') return undefined
  const object = dottedName(node.object)
  const member = node.property.type === 'Identifier' && !node.computed ? node.property.name : undefined
  return object && member ? `${object}.${member}` : undefined
}

const wrappedValues = new Set(['TSAsExpression', 'TSNonNullExpression', 'TSSatisfiesExpression'])

/** Whether the identifier only names a member, a key or a type, so that it reads no variable. */
function isMemberName(node: Node, parent: Node | undefined): boolean {
  if (parent?.type === 'MemberExpression') return parent.property === node && !parent.computed
  if (parent?.type === 'Property') return parent.key === node && !parent.computed && !parent.shorthand
  if (parent?.type === 'PropertyDefinition' || parent?.type === 'MethodDefinition') return parent.key === node
  return parent?.type.startsWith('TS') === true && !wrappedValues.has(parent.type)
}
