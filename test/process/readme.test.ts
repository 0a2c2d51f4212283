import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { agrees, type Block, blocksOf, fileNameOf, WalkThrough } from './walk-through.ts'

const root = resolve(import.meta.dirname, '..', '..')
const blocks = blocksOf(readFileSync(join(root, 'README.md'), 'utf8'))
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }

const walkThrough = new WalkThrough()
afterAll(() => walkThrough.remove())

const isSetUp = ({ language, text }: Block): boolean => language === 'sh' && /^npm (ci|init)\b/.test(text)

describe('README.md', () => {
  it('has exactly two commands that do all the set-up in a clone, each of them a script of package.json', () => {
    // The first block sets up a project of one's own; test/process/package.test.ts does as it says.
    const [, ...inClone] = blocks.filter(isSetUp).map(({ text }) => text)
    expect(inClone).toEqual(['npm ci && npm start\n', 'npm ci && npm test\n'])
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['start', 'test']))
  })

  it('says with each block what it is, and with each file its name', () => {
    const unknown = blocks.filter(({ language }) => !['ts', 'json', 'sh', 'text'].includes(language))
    const nameless = blocks.filter(
      (block) => ['ts', 'json'].includes(block.language) && fileNameOf(block) === undefined,
    )
    expect([...unknown, ...nameless]).toEqual([])
  })

  it('shows TypeScript that compiles', () => {
    for (const block of blocks) if (block.language === 'ts') walkThrough.write(fileNameOf(block) ?? '', block.text)
    expect(walkThrough.typeCheck()).toBe('')
  })

  // One after the other: each goes on with the database that the ones before have left.
  for (const [index, { language, text, line }] of blocks.entries()) {
    if (language !== 'sh' || isSetUp(blocks[index] as Block)) continue
    it(`shows what this prints, in line ${line}: ${text.split('\n')[0]}`, async () => {
      const printed = text.includes('commanderdb start') ? await walkThrough.start(text) : walkThrough.run(text)
      const next = blocks[index + 1]
      if (next?.language !== 'text') return
      walkThrough.noteNumber(next.text, printed)
      if (!agrees(next.text, printed)) expect(printed).toBe(next.text)
    })
  }

  it('leaves no database running', async () => {
    expect(await walkThrough.ended()).toEqual([0, 0])
  })
})
