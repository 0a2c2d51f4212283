/** Header, key and padding of a draft: no more than this. */
export const draftOverheadBytes = 2048
