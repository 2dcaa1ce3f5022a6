// What is wrong with a JSON text, and where: browsers say it each in their own words, and some without the place.

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;

/** A mistake, with the offset at which it is. */
class Mistake extends Error {
  /** @param {number} at @param {string} message */
  constructor(at, message) {
    super(message);
    this.at = at;
  }
}

class Reader {
  #at = 0;

  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }

  whole() {
    this.#value();
    if (this.#next() !== "") this.#fail("nothing may follow the value");
  }

  /** The next character that is no space; "" at the end. */
  #next() {
    this.#take(SPACE);
    return this.text.charAt(this.#at);
  }

  /** @param {RegExp} pattern */
  #take(pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (found) this.#at += found[0].length;
    return found !== null;
  }

  /** @param {string} message @returns {never} */
  #fail(message) {
    const isEnd = this.#at >= this.text.length;
    throw new Mistake(this.#at, isEnd ? `the text ends here, but ${message}` : message);
  }

  #value() {
    const first = this.#next();
    if (first === "{") this.#list("}", () => this.#member());
    else if (first === "[") this.#list("]", () => this.#value());
    else if (first === '"') this.#string("a string ends with a double quote, and \\ stands before what is special in it");
    else if (!this.#take(NUMBER) && !this.#take(WORD)) {
      this.#fail(first === "'" ? "strings stand in double quotes" : "a value is expected: {…}, […], a string, a number, true, false or null");
    }
  }

  /** @param {string} message */
  #string(message) {
    if (!this.#take(STRING)) this.#fail(message);
  }

  #member() {
    if (this.#next() !== '"') this.#fail("a key in double quotes is expected");
    this.#string("a key ends with a double quote");
    if (this.#next() !== ":") this.#fail("a colon is expected after a key");
    this.#at += 1;
    this.#value();
  }

  /** @param {string} close @param {() => void} item */
  #list(close, item) {
    this.#at += 1;
    if (this.#next() !== close) {
      for (;;) {
        item();
        const after = this.#next();
        if (after === close) break;
        if (after !== ",") this.#fail(`a comma or ${close} is expected`);
        this.#at += 1;
      }
    }
    this.#at += 1;
  }
}

/**
 * What is wrong with a text as JSON, with line and column; "" if nothing is.
 * @param {string} text
 */
export function mistakeIn(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    try {
      new Reader(text).whole();
    } catch (mistake) {
      if (mistake instanceof Mistake) {
        const before = text.slice(0, mistake.at).split("\n");
        return `Line ${before.length}, column ${(before.at(-1) ?? "").length + 1}: ${mistake.message}.`;
      }
    }
    return error instanceof Error ? error.message : "This is no JSON.";
  }
}
