export { VirtualTime } from './testing/virtual-time.ts'
