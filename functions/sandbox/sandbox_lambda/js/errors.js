/** An error that a node reports to the workflow's author. */
export class NodeError extends Error {}

/** An expression that cannot be evaluated; nodes fail with it. */
export class ExpressionError extends NodeError {}

/** An item whose origin is unknown. */
export class UnpairedError extends ExpressionError {}
