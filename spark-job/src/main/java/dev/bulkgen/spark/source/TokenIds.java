package dev.bulkgen.spark.source;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;

/** Token ids in a column's arrays. */
final class TokenIds {
  private TokenIds() {}

  /** Whether values of the type can be token ids. */
  static boolean isId(DataType type) {
    return type.equals(DataTypes.IntegerType)
        || type.equals(DataTypes.LongType)
        || type.equals(DataTypes.ShortType);
  }

  /**
   * @param element type of the array's elements
   * @param what named in the error
   * @throws BulkgenException PROMPT_INVALID naming the place of the first that is no token id
   */
  static int[] read(ArrayData array, DataType element, String what) {
    int[] ids = new int[array.numElements()];
    for (int index = 0; index < ids.length; index++) {
      long id = array.isNullAt(index) ? -1 : id(array, index, element);
      if (id < 0 || id > Integer.MAX_VALUE) {
        throw BulkgenException.of(
            ErrorCode.PROMPT_INVALID,
            "%s has no token id at place %d (%s)",
            what,
            index,
            array.isNullAt(index) ? "null" : String.valueOf(id));
      }
      ids[index] = (int) id;
    }
    return ids;
  }

  private static long id(ArrayData array, int index, DataType element) {
    if (element.equals(DataTypes.LongType)) {
      return array.getLong(index);
    }
    return element.equals(DataTypes.IntegerType) ? array.getInt(index) : array.getShort(index);
  }
}
