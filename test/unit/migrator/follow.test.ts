import { expect, it } from 'vitest'
import { Follow } from '../../../src/migrator/follow.ts'
import { emptyRoot } from '../../../src/state/root.ts'
import { FilledStore } from '../filled-store.ts'
import { ledBy, RoleWorld } from '../role-world.ts'

it('a migration is refused where another node leads, which is named', async () => {
  const { environment, scheduler } = new RoleWorld()
  const store = new FilledStore(environment, scheduler).store.reader()
  const state = emptyRoot({ lookup: () => undefined, keepsPayloads: true })
  const follow = new Follow({ environment, store, state, origin: 1 })
  const ready = follow.ready()
  follow.following(ledBy('b', 3))
  await expect(ready).rejects.toMatchObject({ code: 'not_leader', details: { leader: { id: 'b' }, epoch: 3 } })
})
