// What a person must decide before an account goes on: it pauses and its status asks.

export class Question extends Error {
  override readonly name = 'Question';
}
