/*
 * Oracle.java - what Spark answers, row by row: compiled inside of Spark's own process by generate.py (with Janino, which
 * Spark brings along).
 *
 * Each expression is analysed and optimised by the session, as a query over the inputs is; then it is evaluated once for each
 * input row, so that an error belongs to its row and not to the query. Values are written from Spark's internal form:
 * dates are days, timestamps microseconds, intervals months or microseconds.
 */
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.BindReferences;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.package$;
import org.apache.spark.sql.catalyst.plans.logical.LocalRelation;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.catalyst.util.MapData;
import org.apache.spark.sql.types.*;
import org.apache.spark.unsafe.types.CalendarInterval;
import org.apache.spark.unsafe.types.UTF8String;

public class Oracle {
    private static final String HEX = "0123456789abcdef";

    private static void quote(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\')
                out.append('\\').append(c);
            else if (c < 32)
                out.append("\\u00").append(HEX.charAt(c >> 4)).append(HEX.charAt(c & 15));
            else
                out.append(c);
        }
        out.append('"');
    }

    private static void hex(StringBuilder out, byte[] bytes) {
        out.append("{\"b\":\"");
        for (int i = 0; i < bytes.length; i++)
            out.append(HEX.charAt((bytes[i] >> 4) & 15)).append(HEX.charAt(bytes[i] & 15));
        out.append("\"}");
    }

    /* Text that is not UTF-8, or holds what JSON readers refuse, is written as bytes. */
    private static void text(StringBuilder out, UTF8String value) {
        byte[] bytes = value.getBytes();
        String string = value.toString();
        if (java.util.Arrays.equals(bytes, UTF8String.fromString(string).getBytes()) && string.indexOf(0) < 0)
            quote(out, string);
        else
            hex(out, bytes);
    }

    private static void put(StringBuilder out, Object value, DataType type) {
        if (value == null || type instanceof NullType) {
            out.append("null");
        } else if (type instanceof FloatType || type instanceof DoubleType) {
            quote(out, value.toString());
        } else if (type instanceof DecimalType) {
            quote(out, ((Decimal) value).toJavaBigDecimal().toPlainString());
        } else if (type instanceof StringType) {
            text(out, (UTF8String) value);
        } else if (type instanceof BinaryType) {
            hex(out, (byte[]) value);
        } else if (type instanceof CalendarIntervalType) {
            CalendarInterval i = (CalendarInterval) value;
            out.append('[').append(i.months).append(',').append(i.days).append(',').append(i.microseconds).append(']');
        } else if (type instanceof ArrayType) {
            list(out, (ArrayData) value, ((ArrayType) type).elementType());
        } else if (type instanceof MapType) {
            MapData map = (MapData) value;
            ArrayData keys = map.keyArray(), values = map.valueArray();
            DataType kt = ((MapType) type).keyType(), vt = ((MapType) type).valueType();
            out.append('[');
            for (int i = 0; i < keys.numElements(); i++) {
                out.append(i > 0 ? ",[" : "[");
                put(out, keys.isNullAt(i) ? null : keys.get(i, kt), kt);
                out.append(',');
                put(out, values.isNullAt(i) ? null : values.get(i, vt), vt);
                out.append(']');
            }
            out.append(']');
        } else if (type instanceof StructType) {
            InternalRow row = (InternalRow) value;
            StructField[] fields = ((StructType) type).fields();
            out.append('[');
            for (int i = 0; i < fields.length; i++) {
                out.append(i > 0 ? "," : "");
                put(out, row.isNullAt(i) ? null : row.get(i, fields[i].dataType()), fields[i].dataType());
            }
            out.append(']');
        } else {
            out.append(value.toString());
        }
    }

    private static void list(StringBuilder out, ArrayData array, DataType type) {
        out.append('[');
        for (int i = 0; i < array.numElements(); i++) {
            out.append(i > 0 ? "," : "");
            put(out, array.isNullAt(i) ? null : array.get(i, type), type);
        }
        out.append(']');
    }

    private static String note(Throwable error) {
        String message = String.valueOf(error.getMessage());
        StringBuilder out = new StringBuilder();
        quote(out, message.length() > 200 ? message.substring(0, 200) : message);
        return out.toString();
    }

    private static String row(Expression expression, InternalRow row, DataType type) {
        try {
            StringBuilder out = new StringBuilder();
            /* A copy: what builds maps keeps the entries of a row that failed. */
            put(out, ((Expression) expression.clone()).eval(row), type);
            return out.length() > 3000 ? "{\"skip\":1}" : out.toString();
        } catch (VirtualMachineError error) {
            return "{\"skip\":1}";
        } catch (Throwable error) {
            return "{}";
        }
    }

    private static String answer(Dataset inputs, InternalRow[] rows, String text) {
        Dataset selected;
        Project project = null;
        StringBuilder out = new StringBuilder();
        try {
            selected = inputs.selectExpr(new String[] {text});
        } catch (Throwable error) {
            boolean unknown = String.valueOf(error.getMessage()).indexOf("UNRESOLVED_ROUTINE") >= 0;
            return "{\"" + (unknown ? "unknown" : "refused") + "\":" + note(error) + "}";
        }
        DataType type = selected.schema().fields()[0].dataType();
        Expression expression = null;
        try {
            LogicalPlan plan = selected.queryExecution().optimizedPlan();
            project = (Project) plan;
            if (project.projectList().size() != 1 || selected.schema().fields().length != 1)
                return "{\"refused\":\"not one column\"}";
            expression = BindReferences.bindReference((Expression) project.projectList().apply(0),
                package$.MODULE$.AttributeSeq(project.child().output()), false);
        } catch (ClassCastException error) {
            return "{\"refused\":" + note(error) + "}";
        } catch (Throwable error) {
            expression = null;
        }
        out.append('[');
        quote(out, type.catalogString());
        out.append(",[");
        /* The plan may read fewer columns than the inputs have: rows are cut to them. */
        for (int i = 0; i < rows.length; i++) {
            out.append(i > 0 ? "," : "");
            out.append(expression == null ? "{}" : row(expression, rows[i], type));
        }
        return out.append("]]").toString();
    }

    /* Expressions and answers are separated by U+0001. */
    public String run(Dataset inputs, String texts) {
        LocalRelation relation = (LocalRelation) ((LogicalPlan) inputs.queryExecution().analyzed());
        scala.collection.Seq data = relation.data();
        InternalRow[] rows = new InternalRow[data.size()];
        for (int i = 0; i < rows.length; i++)
            rows[i] = (InternalRow) data.apply(i);
        String[] all = texts.split("\u0001");
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < all.length; i++) {
            out.append(i > 0 ? "\u0001" : "");
            out.append(answer(inputs, rows, all[i]));
        }
        return out.toString();
    }
}
