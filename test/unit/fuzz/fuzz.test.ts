import { describe, expect, it } from 'vitest'
import { type FuzzLife, type FuzzTarget, fuzz } from '../../fuzz/fuzz.ts'
import { mutated } from '../../fuzz/mutations.ts'

const valid = Buffer.from('a valid input')

/** Fed with mutations of one input; `meets` stumbles over some of them. */
const targetThat = (meets: (input: Buffer) => void, lives: FuzzLife[] = []): FuzzTarget => ({
  inputsPerLife: 100,
  open: async () => {
    const life: FuzzLife = {
      feed: async (random, shows) => {
        const input = mutated(random, valid, [valid])
        shows(input)
        meets(input)
      },
      check: async () => {},
      close: async () => {},
    }
    lives.push(life)
    return life
  },
})

describe('a fuzz run', () => {
  it('gives the same inputs for the same seed, and others for another', async () => {
    const inputsOf = async (seed: number): Promise<string[]> => {
      const inputs: string[] = []
      const target = targetThat((input) => inputs.push(input.toString('hex')))
      await fuzz({ target, seed, inputs: 250 })
      return inputs
    }
    const first = await inputsOf(1)
    expect(first).toHaveLength(250)
    expect(await inputsOf(1)).toEqual(first)
    expect(await inputsOf(2)).not.toEqual(first)
  })

  it('begins a new life after so many inputs', async () => {
    const lives: FuzzLife[] = []
    await fuzz({ target: targetThat(() => {}, lives), seed: 1, inputs: 250 })
    expect(lives).toHaveLength(3)
  })

  it('says at which seed and input something came out that must not', async () => {
    const target = targetThat((input) => {
      if (input.length < 5) throw new RangeError('out of bounds')
    })
    const failure = await fuzz({ target, seed: 3, inputs: 1000 }).catch((error: Error) => error.message)
    expect(failure).toMatch(/RangeError: out of bounds[\s\S]*seed 3, input \d+ .*: [\w+/]*=*$/)
  })

  it('notices what is thrown when nobody waits for it', async () => {
    const target = targetThat((input) => {
      if (input.length < 5)
        setImmediate(() => {
          throw new Error('later')
        })
    })
    await expect(
      fuzz({ target: { ...target, open: async (random) => slow(await target.open(random)) }, seed: 3, inputs: 1000 }),
    ).rejects.toThrow('later')
  })
})

/** Its inputs take a turn of the event loop each, as those of a socket do. */
const slow = (life: FuzzLife): FuzzLife => ({
  ...life,
  feed: async (random, shows) => {
    await life.feed(random, shows)
    await new Promise((resolve) => setImmediate(resolve))
  },
})
