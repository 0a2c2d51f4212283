import { describe, it } from 'vitest'
import { etcdRefusal } from './etcd-world.ts'

const refusal = etcdRefusal()

/** Tests with a real etcd, or one that says why there is none. */
export function describeWithEtcd(name: string, tests: () => void): void {
  describe(name, () => {
    if (refusal === null) tests()
    else it('runs', (context) => context.skip(refusal))
  })
}
