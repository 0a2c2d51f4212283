import { join } from 'node:path'
import { afterEach, describe, it } from 'vitest'
import { BankLoad, movementsOf, verifyBank } from './bank-load.ts'
import { RunningDatabase, until } from './running-database.ts'

const bank = join(import.meta.dirname, '..', '..', 'src', 'examples', 'bank', 'bank.ts')

let database: RunningDatabase | undefined
afterEach(async () => {
  await database?.remove()
  database = undefined
})

const children = ['journal-writer', 'dispatcher', 'projection-applier', 'application-bank-1', 'gateway']

describe('kill -9 in the middle of the load', () => {
  it.each(children)('of %s, several times, loses nothing and repeats nothing', async (name) => {
    database = await RunningDatabase.start({ applications: [{ module: bank }] })
    const load = new BankLoad(await database.connect(), movementsOf(children.indexOf(name) + 1, 3000))
    const done = load.run()
    for (const share of [0.1, 0.3, 0.5, 0.7, 0.9]) {
      await load.answered(share * load.movements.length)
      const killed = await database.signal(name, 'SIGKILL')
      await until(`another process ${name}`, async () => {
        const pid = (await database?.status())?.processes.find((one) => one.name === name)?.pid
        return typeof pid === 'number' && pid !== killed
      })
    }
    await done
    await database.ready()
    await verifyBank(database, load)
  })

  it('of the supervisor takes its children along, and the next one goes on where they were', async () => {
    database = await RunningDatabase.start({ applications: [{ module: bank }] })
    const load = new BankLoad(await database.connect(), movementsOf(11, 3000))
    const done = load.run()
    for (const share of [0.3, 0.7]) {
      await load.answered(share * load.movements.length)
      await database.status()
      await database.signal('supervisor', 'SIGKILL')
      await database.gone()
      await database.start()
    }
    await done
    await verifyBank(database, load)
  })

  it('of everything at once, several times, loses nothing and repeats nothing', async () => {
    database = await RunningDatabase.start({ applications: [{ module: bank }] })
    const load = new BankLoad(await database.connect(), movementsOf(12, 3000))
    const done = load.run()
    for (const share of [0.3, 0.7]) {
      await load.answered(share * load.movements.length)
      await database.killAll()
      await database.start()
    }
    await done
    await verifyBank(database, load)
  })
})
