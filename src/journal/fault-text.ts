import type { FrameFault } from './segment-cursor.ts'

export const damagedHeader: string = 'its header is damaged'

export const faultText: { readonly [Fault in FrameFault]: string } = {
  zeros: 'there are only zeros where the next frame should be',
  header: 'the frame header is damaged',
  misplaced: 'the frame there was written for another place',
  length: 'the frame there is longer than the segment',
  lsn: 'the frame there begins at another LSN',
  chain: 'the frame there does not follow the one before it',
  codec: 'the frame there has an unknown codec',
  payload: 'the frame there is incomplete or damaged',
}
