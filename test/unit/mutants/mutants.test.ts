import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Mutant, mutated } from '../../mutants/mutant.ts'
import { mutants } from '../../mutants/mutants.ts'
import { plants } from '../../simulation/plants.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

const duplicates = (names: readonly string[]): string[] => names.filter((name, at) => names.indexOf(name) !== at)

/** Whether a text in the file could be the test's own name, which ends its full name: what a table puts into it may be anything. */
function isNamedIn(source: string, fullName: string): boolean {
  return [...source.matchAll(/'([^'\n]{10,})'/g)].some(([, title = '']) => {
    const pattern = title.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&').replaceAll(/%[a-z]/g, '.+')
    return new RegExp(`(^| )${pattern}$`).test(fullName)
  })
}

describe('a mutant', () => {
  it.each(mutants.map((mutant): [string, Mutant] => [mutant.name, mutant]))(
    '%s: its text stands in its file once, and says something else than what replaces it',
    (_name, mutant) => {
      const source = read(mutant.file)
      expect(mutated(source, mutant)).not.toBe(source)
    },
  )

  it('has a name of its own, which no plant of the simulation has either', () => {
    expect(duplicates([...mutants, ...plants].map(({ name }) => name))).toEqual([])
  })

  it('is one of enough', () => {
    expect(mutants.length + plants.length).toBeGreaterThanOrEqual(36)
  })

  it('is found by tests that are there', () => {
    for (const { name, foundBy } of mutants) {
      expect(foundBy.length, name).toBeGreaterThan(0)
      for (const { file, test } of foundBy) {
        expect(existsSync(join(root, file)), file).toBe(true)
        // A contract that several keep has its tests in a file beside.
        const contract = file.replace('.test.ts', '-contract.ts')
        const source = read(file) + (existsSync(join(root, contract)) ? read(contract) : '')
        expect(isNamedIn(source, test), `${file}: ${test}`).toBe(true)
      }
    }
  })

  it('whose text has moved on, or stands twice, is an error that names it', () => {
    const [mutant] = mutants as readonly [Mutant]
    expect(() => mutated('something else', mutant)).toThrow(`mutant "${mutant.name}": its text stands in`)
    expect(() => mutated(`${mutant.text}${mutant.text}`, mutant)).toThrow('2 times, not once')
  })
})
