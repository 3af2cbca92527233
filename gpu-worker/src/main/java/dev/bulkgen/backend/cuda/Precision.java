package dev.bulkgen.backend.cuda;

/** In what precision activations go into the products. */
public enum Precision {
  /** Rounded to the 16-bit type of the weights. */
  ONE_PIECE(1),
  /** In two numbers of that type, the rounded and its rest: 16 bits of bfloat16, 22 of float16. */
  TWO_PIECES(2);

  private final int pieces;

  Precision(int pieces) {
    this.pieces = pieces;
  }

  int pieces() {
    return pieces;
  }
}
