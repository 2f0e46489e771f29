/** Return the type of a node without its package. */
export const shortTypeOf = (node) => node.type.slice(node.type.lastIndexOf(".") + 1);
