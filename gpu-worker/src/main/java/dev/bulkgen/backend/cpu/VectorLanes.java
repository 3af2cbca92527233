package dev.bulkgen.backend.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The vector width of this JVM, chosen once, and the loads that all vectorized kernels share.
 * Sixteen lanes are one vector of 512 bits, two of 256 or four of 128; kernels make one pass over
 * their data for each such part, so that the sums of a pass stay in registers.
 */
final class VectorLanes {
  /** System property that forces a width: 128, 256 or 512. Not set: the widest up to 512. */
  static final String BITS_PROPERTY = "bulkgen.vector.bits";

  private static final int BITS = bits();

  // Constants, because the compiler makes machine vectors only of species that it knows.
  static final VectorSpecies<Float> FLOATS =
      VectorSpecies.of(float.class, VectorShape.forBitSize(BITS));
  static final VectorSpecies<Integer> INTS =
      VectorSpecies.of(int.class, VectorShape.forBitSize(BITS));
  static final VectorSpecies<Short> SHORTS =
      VectorSpecies.of(short.class, VectorShape.forBitSize(BITS / 2));

  /** Floats of one vector. */
  static final int WIDTH = FLOATS.length();

  private static final int HALF_MASK = 0x8fffe000;
  private static final int HALF_INFINITY = 0x7c00;
  private static final int FLOAT_INFINITY = 0x7f800000;
  private static final float HALF_EXPONENT = 0x1p112f;

  private VectorLanes() {}

  private static int bits() {
    int widest = Math.min(512, FloatVector.SPECIES_PREFERRED.vectorBitSize());
    int bits = Integer.getInteger(BITS_PROPERTY, Math.max(128, widest));
    if (bits != 128 && bits != 256 && bits != 512) {
      throw new IllegalArgumentException(
          BITS_PROPERTY + " is " + bits + "; set 128, 256 or 512, or leave it out");
    }
    return bits;
  }

  static FloatVector floats(float[] source, int offset) {
    return FloatVector.fromArray(FLOATS, source, offset);
  }

  static FloatVector broadcast(float value) {
    return FloatVector.broadcast(FLOATS, value);
  }

  /** Sixteen-bit elements, sign-extended: JDK 17 gets the zero-extending conversion wrong. */
  private static IntVector extended(short[] source, int offset) {
    return (IntVector)
        ShortVector.fromArray(SHORTS, source, offset).convertShape(VectorOperators.S2I, INTS, 0);
  }

  /** bfloat16, widened exactly. */
  static FloatVector bfloats(short[] source, int offset) {
    return extended(source, offset).lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
  }

  /** Finite float16, widened exactly, as {@link dev.bulkgen.tensor.Float16#toFloat} does. */
  static FloatVector halves(short[] source, int offset) {
    return extended(source, offset)
        .lanewise(VectorOperators.LSHL, 13)
        .lanewise(VectorOperators.AND, HALF_MASK)
        .reinterpretAsFloats()
        .mul(HALF_EXPONENT);
  }

  /** Any float16, infinities and NaN included. */
  static FloatVector anyHalves(short[] source, int offset) {
    IntVector bits = extended(source, offset);
    IntVector shifted =
        bits.lanewise(VectorOperators.LSHL, 13).lanewise(VectorOperators.AND, HALF_MASK);
    FloatVector finite = shifted.reinterpretAsFloats().mul(HALF_EXPONENT);
    VectorMask<Integer> special =
        bits.lanewise(VectorOperators.AND, HALF_INFINITY)
            .compare(VectorOperators.EQ, HALF_INFINITY);
    FloatVector notFinite =
        shifted.lanewise(VectorOperators.OR, FLOAT_INFINITY).reinterpretAsFloats();
    return finite.blend(notFinite, special.cast(FLOATS));
  }
}
