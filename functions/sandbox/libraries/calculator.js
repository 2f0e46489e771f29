// What the calculator of agents needs.

import Mexp from "math-expression-evaluator";

export const evaluate = (expression) => new Mexp().eval(expression);
