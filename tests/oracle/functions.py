"""
Calls of every function, by family. The first call of each name and number of arguments is also made with every argument
replaced by a column of every type (and by NULL); see `calls`.
"""
import inputs

UNITS = ["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND"]
PATTERNS = ["yyyy-MM-dd", "dd/MM/yyyy HH:mm:ss", "yyyy-MM-dd HH:mm:ss.SSSSSS", "EEEE, d MMM yyyy", "yy-M-d h:m:s a", "D", "Q QQQ",
            "yyyy-MM-dd'T'HH:mm:ssXXX", "HH:mm VV", "z", "O", "G yyyy", "E", "LLLL", "MMMM", "SSS", "k K", "''q''"]

FAMILIES = {
    "text": """
        concat(s1, s2) concat(s1, s2, 'z') concat(b1, b2) concat(a1, a2) concat(as1, as1) concat(s1, i1) concat() concat(b1, s1)
        length(s1) length(b1) char_length(s1) character_length(s1) len(s1) octet_length(s1) bit_length(s1) octet_length(b1)
        lower(s1) lcase(s1) upper(s1) ucase(s1) initcap(s1) lower('ÀÉÎ') upper('straße') initcap('hello|wORLD-foo_bar')
        trim(s1) ltrim(s1) rtrim(s1) btrim(s1) btrim(s1,'ap') trim('ax',s1) ltrim('ax',s1) rtrim('ex',s1)
        trim(BOTH|'a'|FROM|s1) trim(LEADING|'a'|FROM|s1) trim(TRAILING|'e'|FROM|s1)
        lpad(s1,i3) lpad(s1,8,'ab') lpad(s1,8,'') lpad(b1,4) lpad(b1,4,X'01') rpad(s1,i3) rpad(s1,8,'äb') rpad(b1,4,X'0102')
        repeat(s1,i3) repeat(s2,-1) space(i3) reverse(s1) reverse(a1) reverse(b1)
        substring(s1,i3) substring(s1,i3,2) substring(s1,-3,2) substring(s1,0,3) substring(b1,2) substring(b1,-2,1) substr(s1,2)
        substr(s1,2,3) substring(s1,i1,i2) substring(s1|FROM|2|FOR|3) substring(s1|FROM|2) substring(b1,i1,i2)
        left(s1,i3) right(s1,i3) left(s1,2) right(s1,-1) left(b1,2)
        instr(s1,s2) instr(s1,'') locate(s2,s1) locate(s2,s1,2) locate('a',s1,i3) position(s2,s1) position('p'|IN|s1) position(s2,s1,1)
        replace(s1,s2) replace(s1,s2,'--') replace(s1,'','z') translate(s1,'abc','xy') translate(s1,s2,'1')
        concat_ws(',',s1,s2) concat_ws(',',as1) concat_ws('-',s1,as1,s2) concat_ws(s2,s1,'k') concat_ws(',') concat_ws(NULL,s1)
        split_part(s1,',',i3) split_part(s1,',',2) split_part(s1,s2,1) split_part(s1,',',-1) split_part('a.b.c','.',2) split_part(s1,'',1)
        substring_index(s1,',',2) substring_index(s1,'p',-1) substring_index(s1,s2,i3) substring_index(s1,'',1)
        ascii(s1) ascii('') chr(i1) chr(i3) char(65) chr(256) chr(228) chr(-1) chr(l1)
        startswith(s1,s2) endswith(s1,s2) contains(s1,s2) startswith(b1,b2) endswith(b1,b2) contains(b1,b2) contains(s1,'')
        overlay(s1,s2,i3) overlay(s1,'XY',2) overlay(s1,'XY',2,1) overlay(s1|PLACING|'XY'|FROM|2|FOR|1) overlay(b1,b2,1) overlay(s1,s2,-1,i3)
        find_in_set(s2,s1) find_in_set('b','a,b,,c') find_in_set('','a,b,,c') find_in_set('a,b','a,b')
        levenshtein(s1,s2) levenshtein(s1,s2,3) levenshtein('kitten','sitting') levenshtein('kitten','sitting',2) soundex(s1) soundex('Robert') soundex('Ashcraft')
        elt(i3,s1,s2) elt(1,s1) elt(2,b1,b2) elt(3,s1,s2) elt(0,s1)
        format_number(d3,2) format_number(l1,0) format_number(n1,3) format_number(d3,'#,###.0') format_number(i1,i3) format_number(d1,4) format_number(d3,-1)
        format_string('%s|-%s',s1,s2) format_string('%d|%05d',i1,i1) format_string('%.2f',d3) format_string('%x',l1) printf('%s',i1) format_string('%e',d3)
        format_string('%10s|%-5s|',s2,s2) format_string('%,d',l1) format_string('%b',z1) format_string('%c',65) format_string('%%') format_string('%s',NULL) format_string('%+d',i1)
        mask(s1) mask(s1,'Q') mask(s1,'Q','q') mask(s1,'Q','q','d') mask(s1,'Q','q','d','o') mask(s1,NULL,NULL,'d','o') mask('AbCD123-@$#')
        luhn_check(s3) luhn_check('79927398713') luhn_check('79927398714') luhn_check('4111-1') luhn_check('')
        sentences(s1) sentences('Hi|there!|Good|morning.')
        ilike(s1,'A%') like(s1,'a%') s1|LIKE|'%p%' s1|LIKE|s2 s1|LIKE|'_' s1|LIKE|'%\\%%' s1|LIKE|'100|%|%'|ESCAPE|'|' s1|ILIKE|'%APP%' s1|LIKE|'' s1|NOT|LIKE|'a%'
        s1|LIKE|ANY|('a%','%e') s1|LIKE|ALL|('a%','%e') s1|NOT|LIKE|ANY|('a%',s2) s1|LIKE|'%' s1|LIKE|'__' s1|LIKE|'a\\' s1|LIKE|'a\\pple'
        to_number(s3,'999') to_number('1,234.50','9,999.99') to_number('-12','S99') to_number('$78.12','$99.99') to_number('(12)','99PR') try_to_number(s3,'999') try_to_number('12.3','99.9')
        to_char(n1,'999999999.99') to_char(i3,'999') to_char(78.12,'$99.99') to_char(-12,'S99') to_varchar(i3,'000') to_char(12454,'99,999') to_char(-12454.8,'99,999.9PR')
        parse_url('http://u:p@spark.apache.org:80/path?query=1&k=v#ref','HOST') parse_url('http://spark.apache.org/path?query=1&k=v','QUERY','k') parse_url('http://a.b/c?d','QUERY')
        parse_url('http://u:p@a.b:80/p?q#r','PATH') parse_url('http://u:p@a.b:80/p?q#r','REF') parse_url('http://u:p@a.b:80/p?q#r','PROTOCOL') parse_url('http://u:p@a.b:80/p?q#r','FILE')
        parse_url('http://u:p@a.b:80/p?q#r','AUTHORITY') parse_url('http://u:p@a.b:80/p?q#r','USERINFO') parse_url('http://u:p@a.b','host') parse_url(s1,'HOST')
        url_encode(s1) url_decode(s1) url_decode('a%20b+c%C3%A4') url_decode('%zz') url_encode('https://a.b/c?d=e&f=g|h')
    """,
    "encode": """
        hex(i1) hex(s1) hex(b1) hex(l1) hex(d1) unhex(s1) unhex('616') unhex('zz') unhex(hex(s1)) bin(l1) bin(i1) conv(s3,10,16) conv('ff',16,10) conv('-10',10,16) conv('-10',16,-10)
        conv(s3,i3,10) conv('100',2,36) conv('18446744073709551616',10,16) conv('',10,16) conv(l1,10,-16) conv('9223372036854775808',10,-10) conv('11abc',10,16)
        base64(b1) base64(s1) unbase64(s1) unbase64('YWJj') unbase64('YWJ') unbase64('####') unbase64(base64(b1)) encode(s1,'UTF-8') encode(s1,'US-ASCII') encode(s1,'ISO-8859-1') encode(s1,'UTF-16')
        encode(s1,'UTF-16BE') encode(s1,'UTF-16LE') encode(s1,'nope') decode(b1,'UTF-8') decode(b1,'US-ASCII') decode(b1,'ISO-8859-1') decode(b1,'UTF-16') decode(b1,'UTF-16BE') decode(b1,'nope')
        decode(i3,1,'one',2,'two') decode(i3,1,'one',2,'two','other') decode(s2,NULL,'null','x','ex')
        md5(s1) md5(b1) sha(s1) sha1(s1) sha2(s1,256) sha2(s1,224) sha2(s1,384) sha2(s1,512) sha2(s1,0) sha2(s1,1) sha2(b1,i3) crc32(s1) crc32(b1)
        hash(s1) hash(i1) hash(s1,i1,d1) hash(a1) hash(r1) hash(day1) hash(ts1) hash(n1) hash(w1) hash(as1) hash(aa1) hash(z1,t1,h1,l1) hash(f1) hash(d1) hash(b1) hash(x1) hash()
        xxhash64(s1) xxhash64(i1) xxhash64(s1,i1,d1) xxhash64(a1) xxhash64(r1) xxhash64(day1) xxhash64(ts1) xxhash64(n1) xxhash64(w1) xxhash64(as1) xxhash64(z1,t1,h1,l1) xxhash64(f1) xxhash64(d1) xxhash64(b1) xxhash64(x1) xxhash64()
        to_binary(s1,'utf-8') to_binary('616263','hex') to_binary('YWJj','base64') to_binary('zz','hex') to_binary('616263') try_to_binary('zz','hex') try_to_binary(s1,'base64') to_binary(s1,'nope')
    """,
    "regex": """
        regexp_like(s1,'a.') regexp(s1,'^[A-Z]') rlike(s1,s2) s1|RLIKE|'p+' s1|REGEXP|'(?i)quick' s1|NOT|RLIKE|'a' regexp_like(s1,'\\\\d') regexp_like(s1,'(') regexp_like(s1,'ä||日')
        regexp_extract(s1,'([a-z])([a-z]+)') regexp_extract(s1,'([a-z])([a-z]+)',2) regexp_extract(s1,'([a-z])([a-z]+)',0) regexp_extract(s1,'([a-z])',i3) regexp_extract(s1,'q(x)?',1) regexp_extract(s1,'a',-1)
        regexp_extract_all(s1,'([a-z])[a-z]') regexp_extract_all(s1,'([a-z])([a-z])',2) regexp_extract_all(s1,'[a-z]+',0) regexp_extract_all(s1,'z*',0) regexp_extract_all(s1,'([a-z])',3)
        regexp_replace(s1,'[aeiou]','#') regexp_replace(s1,'(p)(l)','$2$1') regexp_replace(s1,'[aeiou]','#',3) regexp_replace(s1,'x*','-') regexp_replace(s1,'','-') regexp_replace(s1,s2,'!') regexp_replace(s1,'a','\\$') regexp_replace(s1,'a','$9') regexp_replace(s1,'a','#',0)
        regexp_replace(s1,'日','day') regexp_replace(s1,'.','.',2) regexp_replace(s1,'\\\\b','|') regexp_replace(s1,'(?<n>a)','<${n}>') regexp_replace(s1,'$','!')
        regexp_count(s1,'[aeiou]') regexp_count(s1,'') regexp_count(s1,s2) regexp_substr(s1,'[a-z]+') regexp_substr(s1,'q.*k') regexp_instr(s1,'p') regexp_instr(s1,'[a-z]+',0) regexp_instr(s1,'本') regexp_instr(s1,'q',1)
        split(s1,',') split(s1,',',2) split(s1,'') split(s1,'[ap]') split(s1,',',-1) split(s1,',',0) split(s1,s2) split(s1,',',i3) split(s1,'x*') split('a1b2c','[0-9]') split('',',') split('aab','a')
    """,
    "math": """
        abs(i1) abs(t1) abs(h1) abs(l1) abs(f1) abs(d1) abs(n1) abs(w1) abs(ym1) abs(dt1) negative(i1) negative(t1) negative(l1) negative(d1) negative(n1) positive(i1) positive(n1)
        ceil(d1) ceil(n1) ceil(w1) ceil(l1) ceil(f1) ceiling(d3) ceil(d3,1) ceil(n1,1) ceil(n1,-1) ceil(i1,-2) ceil(w1,3) floor(d1) floor(n1) floor(w1) floor(l1) floor(f1) floor(d3,1) floor(n1,1) floor(n1,-1) floor(i1,-2) ceil(d3,i3) ceil(x1) floor(x1,0) ceil(t1) floor(h1) ceil(l1,-2)
        round(d3) round(d3,1) round(n1,1) round(n1,-1) round(i1,-2) round(w1,3) round(d1) round(d1,2) round(f1,1) round(l1,-3) round(t1,-1) round(h1,-2) round(n1) round(n1,5) round(x1,-3) round(i1,3) round(2.5) round(-2.5) round(2.5D) round(1.005D,2) round(d3,i3) round(t1,-2) round(h1,-5) round(i1,-10) round(l1,-19) round(w1)
        bround(d3) bround(d3,1) bround(n1,1) bround(n1,-1) bround(i1,-2) bround(w1,3) bround(2.5) bround(3.5) bround(-2.5) bround(2.5D) bround(t1,-1) bround(f1,1) bround(l1,-3) bround(d1)
        rint(d1) rint(d3) rint(n1) sqrt(d1) sqrt(d3) sqrt(i1) sqrt(n1) cbrt(d1) cbrt(d3) exp(d1) exp(d3) expm1(d3) expm1(d1) sin(d1) sin(d3) cos(d1) cos(d3) tan(d1) tan(d3) cot(d3) sec(d3) csc(d3) asin(d1) asin(d3) acos(d1) acos(d3) atan(d1) atan(d3)
        sinh(d3) sinh(d1) cosh(d3) cosh(d1) tanh(d3) tanh(d1) asinh(d3) asinh(d1) acosh(d3) acosh(d1) atanh(d3) atanh(d1) degrees(d3) degrees(d1) radians(d3) radians(d1) sign(d1) sign(n1) signum(i1) sign(ym1) sign(dt1) atan2(d1,d2) atan2(d3,d1) hypot(d1,d2) hypot(d3,d1) pow(d1,d2) pow(d3,2) power(i3,i3) pow(d3,0.5D) pow(2,i3)
        ln(d1) ln(d3) log(d1) log(2,d3) log(d3,d1) log(10,n1) log10(d1) log10(d3) log2(d1) log2(d3) log1p(d1) log1p(d3) factorial(i3) factorial(i1) factorial(20) factorial(21)
        shiftleft(i1,i3) shiftleft(l1,i3) shiftleft(i1,33) shiftright(i1,i3) shiftright(l1,65) shiftright(i1,-1) shiftrightunsigned(i1,i3) shiftrightunsigned(l1,i3) shiftrightunsigned(i1,1) bit_count(i1) bit_count(l1) bit_count(z1) bit_count(t1) bit_get(l1,i3) getbit(i1,3) bit_get(i1,0)
        width_bucket(d3,0D,10D,5) width_bucket(d1,0D,10D,5) width_bucket(i1,0,10,i3) width_bucket(d3,10D,0D,5) width_bucket(5.3,0.2,10.6,5) width_bucket(ym1,INTERVAL|'0'|YEAR,INTERVAL|'10'|YEAR,10) width_bucket(dt1,INTERVAL|'0'|DAY,INTERVAL|'10'|DAY,10) pi() e()
        mod(i1,i2) mod(d1,d2) mod(n1,n2) mod(l1,l2) mod(t1,t2) pmod(i1,i2) pmod(d1,d2) pmod(n1,n2) pmod(l1,l2) pmod(t1,t2) pmod(w1,w2) pmod(f1,f2) pmod(h1,h2) mod(w1,w2) mod(f1,f2)
        try_add(i1,i2) try_add(l1,l2) try_add(n1,n2) try_add(d1,d2) try_add(w1,w2) try_add(day1,i1) try_add(day1,INTERVAL|1|DAY) try_add(ts1,INTERVAL|1|DAY) try_add(dt1,dt1) try_add(ym1,ym1) try_add(t1,t2) try_add(x1,x1) try_subtract(i1,i2) try_subtract(l1,l2) try_subtract(n1,n2) try_subtract(d1,d2) try_subtract(day1,i1) try_subtract(ts1,ts2) try_subtract(day1,day2) try_subtract(x1,x1) try_subtract(dt1,dt1)
        try_multiply(i1,i2) try_multiply(l1,l2) try_multiply(n1,n2) try_multiply(d1,d2) try_multiply(w1,w2) try_multiply(dt1,i3) try_multiply(ym1,i3) try_multiply(x1,x1) try_divide(i1,i2) try_divide(l1,l2) try_divide(n1,n2) try_divide(d1,d2) try_divide(w1,w2) try_divide(dt1,i3) try_divide(ym1,i3) try_divide(d3,0)
    """,
    "null": """
        coalesce(i1,i2) coalesce(s1,s2) coalesce(i1,l1) coalesce(NULL,i1,d1) coalesce(n1,i1) coalesce(s1,i1) coalesce(day1,ts1) coalesce(a1,a2) coalesce(r1,r2) coalesce(NULL,NULL) nvl(i1,0) nvl(s1,'none') ifnull(d1,0) nvl2(i1,s1,s2) nvl2(i1,l1,d1) nullif(i1,i2) nullif(s1,s2) nullif(d1,d2) nullif(i1,3)
        isnull(i1) isnotnull(s1) isnan(d1) isnan(f1) isnan(i1) nanvl(d1,d2) nanvl(f1,f2) nanvl(d1,0) equal_null(i1,i2) equal_null(s1,s2) equal_null(d1,d2) i1|IS|NULL s1|IS|NOT|NULL z1|IS|TRUE z1|IS|FALSE z1|IS|UNKNOWN z1|IS|NOT|TRUE i1|IS|DISTINCT|FROM|i2 i1|IS|NOT|DISTINCT|FROM|i2
    """,
    "conditional": """
        if(z1,i1,i2) if(z1,s1,s2) if(z1,i1,d1) if(i1|>|0,1/i1,0) if(NULL,1,2) greatest(i1,i2) greatest(d1,d2) greatest(s1,s2) greatest(i1,l1,d1) greatest(n1,n2,w1) greatest(day1,day2) greatest(ts1,day1) greatest(b1,b2) greatest(a1,a2) greatest(f1,f2) greatest(z1,z2) greatest(ym1,ym1) greatest(dt1,dt1)
        least(i1,i2) least(d1,d2) least(s1,s2) least(i1,l1,d1) least(n1,n2,w1) least(day1,day2) least(ts1,ts2) least(b1,b2) least(a1,a2) least(f1,f2) least(r1,r2) least(m1,m1) greatest(i1) greatest(s1,i1) least(NULL,i1)
        CASE|WHEN|z1|THEN|i1|ELSE|i2|END CASE|WHEN|z1|THEN|i1|END CASE|i3|WHEN|1|THEN|'one'|WHEN|2|THEN|s1|ELSE|NULL|END CASE|WHEN|z1|THEN|i1|WHEN|z2|THEN|d1|ELSE|n1|END CASE|WHEN|z1|THEN|day1|ELSE|ts1|END CASE|WHEN|z1|THEN|s3|ELSE|i1|END CASE|s1|WHEN|s2|THEN|1|ELSE|0|END
        typeof(i1) typeof(n1) typeof(a1) typeof(m1) typeof(r1) typeof(ts1) typeof(ntz1) typeof(dt1) typeof(ym1) typeof(NULL) typeof(1/2) typeof(current_date()) typeof(1.5|*|i1)
        i3|BETWEEN|1|AND|3 i3|NOT|BETWEEN|i1|AND|i2 d1|BETWEEN|f1|AND|d2 s1|BETWEEN|'a'|AND|'b' day1|BETWEEN|'1970-01-01'|AND|day2 i3|IN|(1,2,NULL) i3|NOT|IN|(1,2) s1|IN|('apple',s2) i3|IN|(1.0,'2') d1|IN|(1,2.5D,d2) day1|IN|('1970-01-01') s3|IN|(12,30) r1|IN|(r2) a1|IN|(a2) i3|IN|(i1,NULL) NULL|IN|(1) i3|NOT|IN|(i1,NULL)
        assert_true(z1) raise_error(s1) assert_true(i3|>|0) assert_true(z1,'no')
    """,
    "nested": """
        size(a1) size(m1) cardinality(a1) cardinality(m1) array_size(a1) array(i1,i2) array(i1,d1) array(s1,i1) array() array(NULL) array(a1,a2) array(n1,i1) array(s1,s2)
        a1[0] a1[i3] a1[-1] a1[5] a1[l1] aa1[0] aa1[0][1] m1['a'] m1[s2] m1['zz'] m1[1] r1.x r1.y r1.z r1['x'] as1[1] a1[NULL] a1['0'] a1[1.5] array(1,2)[t1]
        element_at(a1,1) element_at(a1,-1) element_at(a1,i3) element_at(a1,5) element_at(m1,'a') element_at(m1,s2) element_at(a1,0) try_element_at(a1,5) try_element_at(a1,0) try_element_at(m1,'zz') try_element_at(a1,-1) get(a1,0) get(a1,i3) get(a1,-1)
        array_append(a1,i3) array_append(a1,NULL) array_append(as1,'q') array_append(a1,d1) array_prepend(a1,i3) array_prepend(as1,s1) array_compact(a1) array_compact(as1) array_contains(a1,i3) array_contains(as1,s1) array_contains(ad1,d1) array_contains(a1,NULL) array_contains(a1,3L) array_contains(aa1,a1)
        array_distinct(a1) array_distinct(as1) array_distinct(ad1) array_distinct(aa1) array_except(a1,a2) array_except(as1,array('a')) array_except(ad1,ad1) array_intersect(a1,a2) array_intersect(as1,as1) array_intersect(ad1,array(1D,0D)) array_union(a1,a2) array_union(as1,array('a',NULL)) array_union(ad1,ad1) array_union(aa1,aa1) arrays_overlap(a1,a2) arrays_overlap(as1,array('a',NULL)) arrays_overlap(ad1,ad1)
        array_insert(a1,1,i3) array_insert(a1,-1,9) array_insert(a1,i3,0) array_insert(a1,5,9) array_insert(a1,0,1) array_insert(a1,-6,9) array_join(as1,',') array_join(as1,',','-') array_join(a1,',') array_join(as1,s2) array_join(as1,NULL)
        array_max(a1) array_max(ad1) array_max(as1) array_max(aa1) array_min(a1) array_min(ad1) array_min(as1) array_position(a1,i3) array_position(as1,'a') array_position(ad1,d1) array_position(a1,NULL) array_remove(a1,i3) array_remove(as1,'a') array_remove(ad1,1D) array_remove(a1,NULL)
        array_repeat(i1,i3) array_repeat(s1,2) array_repeat(i1,-1) array_repeat(NULL,2) array_repeat(a1,2) arrays_zip(a1,a2) arrays_zip(a1,as1,ad1) arrays_zip(a1) flatten(aa1) flatten(array(as1,as1)) sequence(1,5) sequence(i3,5) sequence(5,1) sequence(1,10,3) sequence(10,1,-3) sequence(1,10,i3) sequence(day1,day1) sequence(DATE'2024-01-31',DATE'2024-04-30',INTERVAL|1|MONTH) sequence(TIMESTAMP'2024-03-30|12:00:00',TIMESTAMP'2024-04-01|12:00:00',INTERVAL|12|HOURS) sequence(1L,3L) sequence(1,3,-1) sequence(DATE'2024-01-01',DATE'2024-01-03') sequence(1,5,0) sequence(t1,t1)
        slice(a1,1,2) slice(a1,-2,2) slice(a1,i3,i3) slice(a1,0,1) slice(a1,2,-1) slice(as1,1,1) slice(a1,1,100) sort_array(a1) sort_array(a1,false) sort_array(as1) sort_array(ad1) sort_array(aa1) sort_array(ad1,false) array_sort(a1) array_sort(as1) array_sort(ad1) shuffle(array(1)) reverse(as1) reverse(aa1)
        map('a',i1) map('a',1,'b',i1) map(s1,i1) map(i1,s1,i2,s2) map() map('a',1,'a',2) map(NULL,1) map_keys(m1) map_values(m1) map_entries(m1) map_concat(m1,m2) map_concat(m1) map_concat(m1,m1) map_concat() map_contains_key(m1,'a') map_contains_key(m1,s2) map_contains_key(m1,NULL) map_from_arrays(as1,a1) map_from_arrays(array('a','b'),array(1,2)) map_from_arrays(array('a'),array(1,2)) map_from_arrays(array(NULL),array(1)) map_from_entries(array(struct('a',1),struct('b',2))) map_from_entries(map_entries(m1)) map_from_entries(arrays_zip(as1,a1)) map_from_entries(array(struct('a',1),struct('a',2)))
        str_to_map('a:1,b:2') str_to_map(s1) str_to_map('a=1;b','|;|','=') str_to_map('a=1;b',';','=') str_to_map('a:1,a:2') str_to_map('') named_struct('p',i1,'q',s1) named_struct('p',1) struct(i1,s1) struct(1,'x') struct(i1|AS|k,s2) named_struct('p',i1).p map_filter(m1,(k,v)|->|k|IN|('a','b')) map_filter(m1,(k,v)|->|v|>|1)
        a1|=|a2 r1|=|r2 r1|<|r2 a1|<|a2 aa1|<|aa1 ad1|<|array(1D) array(1,2)|=|array(1L,2L) (1,2)|=|(1,2L) a1|<=>|a2 struct(i1,s1)|<=>|struct(i2,s2)
    """,
    "json": """
        get_json_object(j1,'$.a') get_json_object(j1,'$.b.c[1]') get_json_object(j1,'$.b') get_json_object(j1,'$') get_json_object(j1,'$.b.c[*]') get_json_object(j1,'$[1]') get_json_object(j1,'$[*]') get_json_object(j1,'$.*') get_json_object(j1,'$.x') get_json_object(j1,'$.y') get_json_object(j1,"$['a']") get_json_object(j1,'$.ä') get_json_object(j1,'$.b.c[2].d') get_json_object(j1,'$.k') get_json_object(j1,'a') get_json_object(j1,'$.') get_json_object(j1,s1) get_json_object(j1,'$.z') get_json_object('{"a":[{"b":1},{"b":2}]}','$.a[*].b') get_json_object('{"a":[{"b":1}]}','$.a[*].b') get_json_object('{"a":[[1,2],[3]]}','$.a[*][0]') get_json_object('{"a":1.50}','$.a') get_json_object('{"a":1e5}','$.a') get_json_object('{"a":"x\\\\"y"}','$.a') get_json_object('{"a":{"b":"x\\\\"y"}}','$.a') get_json_object('{"a":true}','$.a') get_json_object('{"a b":1}','$.a|b') get_json_object("{'a':1}",'$.a') get_json_object('{"a":{"b":[1,|2]}}','$.a')
        json_array_length(j1) json_array_length('[1,[2,3],{"a":4}]') json_array_length('{"a":1}') json_array_length('[]') json_array_length('[1') json_object_keys(j1) json_object_keys('{"a":1,"b":{"c":2}}') json_object_keys('[1]') json_object_keys('{}')
        to_json(r1) to_json(m1) to_json(a1) to_json(array(r1,r2)) to_json(struct(d1,f1)) to_json(struct(day1,ts1)) to_json(struct(n1,w1)) to_json(named_struct('s',s1,'z',z1)) to_json(struct(b1)) to_json(named_struct('a',aa1,'m',m1)) to_json(r1,map('ignoreNullFields','false')) to_json(struct(ts1),map('timestampFormat','dd/MM/yyyy')) to_json(struct(ntz1)) to_json(struct(l1,t1)) to_json(as1) to_json(map(i3,s1)) to_json(i1) to_json(named_struct('s','a"b\\\\c/d\\n'))
        from_json(j1,'a|INT') from_json(j1,'a|STRING,|b|STRUCT<c:ARRAY<STRING>>') from_json(j1,'x|BIGINT,|y|DOUBLE') from_json(j1,'x|DECIMAL(20,0),|y|STRING') from_json(j1,'MAP<STRING,STRING>') from_json(j1,'ARRAY<INT>') from_json('[1,2]','ARRAY<INT>') from_json('{"a":"2024-02-29"}','a|DATE') from_json('{"a":"2024-02-29T12:00:00Z"}','a|TIMESTAMP') from_json('{"t":"26/08/2015"}','t|TIMESTAMP',map('timestampFormat','dd/MM/yyyy')) from_json('{"a":1.0}','a|INT') from_json('{"a":"1"}','a|INT') from_json('{"a":1}','a|STRING') from_json('{"a":{"b":1}}','a|STRING') from_json('{"a":true}','a|BOOLEAN') from_json('{"a":"x"}','a|DOUBLE') from_json('{"a":"NaN"}','a|DOUBLE') from_json('{"A":1}','a|INT') from_json('{"a":1}','struct<a:int>') from_json('{bad','a|INT') from_json('{"a":1,"b":"x"}','a|INT,|b|INT') from_json('{bad','a|INT',map('mode','FAILFAST')) from_json('[{"a":1},{"a":2}]','ARRAY<STRUCT<a:INT>>') from_json('{"a":300}','a|TINYINT') from_json('{"a":null}','a|INT') from_json('{"a":1}','a|INT|NOT|NULL') from_json(j1,'b|MAP<STRING,STRING>') from_json('{"a":1}',s1) from_json('{"a":"YWJj"}','a|BINARY') from_json('[{"a":1}]','a|INT') from_json('{"a":1}','ARRAY<STRUCT<a:INT>>')
        schema_of_json('{"a":1,"b":[1.5,"x"]}') schema_of_json('[1,2]') json_tuple(j1,'a')
    """,
    "time": """
        year(day1) year(ts1) quarter(day1) month(day1) day(day1) dayofmonth(day1) dayofweek(day1) weekday(day1) dayofyear(day1) weekofyear(day1) hour(ts1) minute(ts1) second(ts1) hour(ntz1) minute(ntz1) second(ntz1) year(s4) month(ntz1) hour(s4)
        date_add(day1,i3) date_add(day1,i1) date_sub(day1,i3) date_sub(day1,i1) dateadd(day1,i3) datediff(day1,day2) date_diff(day1,day2) add_months(day1,i3) add_months(day1,i1) add_months(day1,-1) months_between(ts1,ts2) months_between(day1,day2) months_between(ts1,ts2,false) last_day(day1) next_day(day1,'Mon') next_day(day1,'SUNDAY') next_day(day1,'xx') next_day(day1,s1)
        unix_seconds(ts1) unix_millis(ts1) unix_micros(ts1) timestamp_seconds(l1) timestamp_seconds(d3) timestamp_seconds(n1) timestamp_seconds(d1) timestamp_seconds(i1) timestamp_millis(l1) timestamp_millis(i1) timestamp_micros(l1) timestamp_micros(i1) unix_date(day1) date_from_unix_date(i1) date_from_unix_date(i3)
        make_date(i1,i3,i3) make_date(2024,i3,29) make_date(2023,2,29) make_date(i1,1,1) make_timestamp(2024,i3,1,12,30,45.5) make_timestamp(2024,3,31,2,30,0) make_timestamp(2024,1,1,0,0,60) make_timestamp(2024,1,1,0,0,60.5) make_timestamp(2024,6,1,12,0,d3) make_timestamp(2024,6,1,12,0,0,'Europe/Berlin') make_timestamp(2024,6,1,25,0,0) make_timestamp_ltz(2024,i3,1,12,30,45.5) make_timestamp_ltz(2024,6,1,12,0,0,'America/New_York') make_timestamp_ntz(2024,i3,31,12,30,45.5) make_timestamp(i1,1,1,0,0,0)
        convert_timezone('Europe/Berlin',ntz1) convert_timezone('America/New_York','Asia/Kolkata',ntz1) convert_timezone('UTC','xx',ntz1) convert_timezone('+01:00','UTC',ntz1) from_utc_timestamp(ts1,'Europe/Berlin') to_utc_timestamp(ts1,'Europe/Berlin') from_utc_timestamp(ts1,'+02:00') to_utc_timestamp(ts1,'America/New_York') from_utc_timestamp(ts1,'nope') to_utc_timestamp(ts1,s1)
        to_date(s4) to_date(s4,'yyyy-MM-dd') to_date('29/02/2024','dd/MM/yyyy') to_date('30/02/2024','dd/MM/yyyy') to_date(day1) to_date(ts1) to_date('2024-060','yyyy-DDD') to_date('Feb|29,|2024','MMM|d,|yyyy') to_date('24-2-9','yy-M-d') to_date(s4,s2) to_date('2024-02-29|x','yyyy-MM-dd') to_date(i1) to_date('2024','yyyy') to_date('12','dd') date(s4) date(ts1) timestamp(s4) timestamp(day1) try_to_timestamp(s4) try_to_timestamp(s4,'yyyy-MM-dd') try_to_timestamp('x','yyyy')
        to_timestamp(s4) to_timestamp(s4,'yyyy-MM-dd|HH:mm:ss') to_timestamp('2024-02-29|12:34:56.789','yyyy-MM-dd|HH:mm:ss.SSS') to_timestamp('2024-02-29T12:34:56+0200',"yyyy-MM-dd'T'HH:mm:ssZ") to_timestamp('12/31/1969|11:59|PM','MM/dd/yyyy|hh:mm|a') to_timestamp('1|Jan|2024','d|MMM|yyyy') to_timestamp('2024-02-29|12','yyyy-MM-dd|HH') to_timestamp(day1) to_timestamp(l1) to_timestamp(d3) to_timestamp('x','yyyy') to_timestamp('2024-01-01|10:00|Europe/Berlin','yyyy-MM-dd|HH:mm|VV') to_timestamp_ntz(s4) to_timestamp_ltz(s4) to_timestamp_ntz(s4,'yyyy-MM-dd') to_timestamp_ltz(s4,'yyyy-MM-dd')
        unix_timestamp(ts1) unix_timestamp(s4) unix_timestamp(s4,'yyyy-MM-dd') unix_timestamp(day1) to_unix_timestamp(ts1) to_unix_timestamp(s4,'yyyy-MM-dd|HH:mm:ss') unix_timestamp(ntz1) from_unixtime(l1) from_unixtime(i1) from_unixtime(1700000000,'yyyy-MM-dd|HH:mm:ss|XXX') from_unixtime(i3,'D') from_unixtime(-1) from_unixtime(d3)
        make_interval(1,2,3,4,5,6,7.5) make_interval(i3) make_interval(i3,i3) make_interval(0,0,0,i3,i3,i3,d3) make_interval() make_interval(i1) make_dt_interval(i3,i3,i3,d3) make_dt_interval(1) make_dt_interval() make_dt_interval(i1) make_ym_interval(i3,i3) make_ym_interval(i1) make_ym_interval()
        extract(YEAR|FROM|ts1) extract(DAY|FROM|day1) extract(SECOND|FROM|ts1) extract(SECONDS|FROM|ntz1) extract(DOW|FROM|day1) extract(DAYOFWEEK_ISO|FROM|day1) extract(WEEK|FROM|day1) extract(YEAROFWEEK|FROM|day1) extract(DOY|FROM|ts1) extract(QUARTER|FROM|ts1) extract(HOUR|FROM|dt1) extract(DAY|FROM|dt1) extract(SECOND|FROM|dt1) extract(MINUTE|FROM|dt1) extract(YEAR|FROM|ym1) extract(MONTH|FROM|ym1) extract(HOUR|FROM|INTERVAL|'5|3'|DAY|TO|HOUR) extract(MON|FROM|day1) extract(nope|FROM|day1) extract(EPOCH|FROM|ts1) date_part('YEAR',ts1) date_part('minutes',ts1) date_part('SECONDS',INTERVAL|'5|minutes|30|seconds') date_part('month',ym1) date_part('d',day1) datepart('week',day1) date_part('HOUR',s4) date_part('milliseconds',ts1) date_part('isodow',day1) date_part('YEAR',make_interval(1,2)) date_part('DAY',make_interval(1,2,3,4)) date_part('dayofweek',day1)
        date_trunc('year',day1) trunc(day1,s1) trunc(day1,'xx') date_trunc('xx',ts1) date_trunc(s1,ts1) date_trunc('month',s4) trunc(s4,'month') trunc(ts1,'year') date_trunc('day',ntz1)
        timestampadd(DAY,i3,ts1) timestampadd(MONTH,i3,day1) timestampdiff(DAY,ts1,ts2) timestampadd(HOUR,1,ntz1) timestampadd(SECOND,l1,ts1) date_add(MONTH,1,day1) dateadd(HOUR,i3,ts1) datediff(HOUR,ts1,ts2) date_diff(MONTH,day1,day2) timestampdiff(MONTH,ntz1,ntz2) timestampadd(nope,1,ts1)
        window_time(ts1) current_timezone() date_format(ts1,s1) date_format(s4,'yyyy') date_format(ts1,'nope') date_format(day1,'yyyy') date_format(ntz1,'HH') to_timestamp('2024-13-01','yyyy-MM-dd') curdate()|IS|NULL now()|IS|NULL localtimestamp()|IS|NULL current_date()|IS|NULL
    """,
    "zoned": "",
}

FAMILIES["zoned"] = " ".join(
    [f"date_trunc('{unit}',ts1)" for unit in UNITS] + [f"date_trunc('{unit}',ntz1)" for unit in UNITS[:6]] +
    [f"trunc(day1,'{unit}')" for unit in UNITS[:5] + ["MM", "MON", "YY", "YYYY", "Q"]] +
    [f"timestampadd({unit},i3,ts1)" for unit in UNITS] + [f"timestampdiff({unit},ts1,ts2)" for unit in UNITS] +
    [f"date_format(ts1,{text})" for text in (('"' + p + '"' if "'" in p else "'" + p + "'").replace(" ", "|") for p in PATTERNS)] +
    [f"from_unixtime(l1,{text})" for text in (('"' + p + '"' if "'" in p else "'" + p + "'").replace(" ", "|") for p in PATTERNS[:4])] +
    """year(ts1) month(ts1) day(ts1) hour(ts1) minute(ts1) second(ts1) dayofweek(ts1) dayofyear(ts1) weekofyear(ts1) extract(SECOND|FROM|ts1)
    CAST(ts1|AS|STRING) CAST(ts1|AS|DATE) CAST(ts1|AS|TIMESTAMP_NTZ) CAST(ntz1|AS|TIMESTAMP) CAST(day1|AS|TIMESTAMP) CAST(s4|AS|TIMESTAMP) CAST(s4|AS|TIMESTAMP_NTZ) CAST(s4|AS|DATE) CAST(ntz1|AS|STRING) CAST(ts1|AS|BIGINT) CAST(l1|AS|TIMESTAMP) CAST(d1|AS|TIMESTAMP) CAST(ts1|AS|DOUBLE)
    CAST(ts2|AS|STRING) CAST(ntz2|AS|TIMESTAMP) ts1|=|day1 ts1|<|ntz1 ts1|>|'2024-01-01' ts1|+|INTERVAL|1|DAY ts1|+|INTERVAL|24|HOURS ts1|-|INTERVAL|1|MONTH ts1|+|ym1 ts1|+|dt1 ts1|-|dt1 ts1|-|ts2 ts1|-|day1 day1|-|ts1 ntz1|-|ntz2 ntz1|-|ts1 ntz1|+|INTERVAL|1|DAY ts1|+|make_interval(0,1,0,1,1) ntz1|+|make_interval(0,1,0,1,1) day1|+|INTERVAL|1|MONTH day1|+|INTERVAL|1|HOUR day1|-|INTERVAL|'1-1'|YEAR|TO|MONTH
    to_date(ts1) to_timestamp(s4) to_timestamp_ntz(s4) unix_timestamp(s4) unix_timestamp(day1) unix_timestamp(ntz1) unix_timestamp(s4,'yyyy-MM-dd|HH:mm:ss') from_unixtime(l1) from_unixtime(i1) from_utc_timestamp(ts1,'Europe/Berlin') to_utc_timestamp(ts1,'Asia/Kolkata') from_utc_timestamp(ts2,'America/New_York') convert_timezone('Europe/Berlin',ntz1) convert_timezone('Asia/Kolkata','America/New_York',ntz2)
    make_timestamp(2024,3,31,2,30,0) make_timestamp(2024,10,27,2,30,0) make_timestamp(1900,i3,1,0,0,0) make_timestamp(2024,3,10,2,30,0,'America/New_York') months_between(ts1,ts2) months_between(day1,ts1) datediff(ts1,ts2) date_add(ts1,1) add_months(ts1,1) last_day(ts1) to_json(struct(ts1,day1,ntz1)) CAST(struct(ts1)|AS|STRING) CAST(array(ts1)|AS|STRING) hash(ts1) current_timezone() coalesce(day1,ts1) greatest(day1,ts1) coalesce(ntz1,ts1)
    sequence(TIMESTAMP'2024-03-30|12:00:00',TIMESTAMP'2024-04-01|12:00:00',INTERVAL|1|DAY) date_format(ntz1,'yyyy-MM-dd|HH:mm') TIMESTAMP'2024-03-31|02:30:00' TIMESTAMP'1969-12-31|23:59:59.5' TIMESTAMP_NTZ'2024-03-31|02:30:00' DATE'1582-10-10' TIMESTAMP'2024-06-01|12:00:00|Europe/Berlin' date_part('hour',ts1) unix_seconds(ts1) timestamp_seconds(n1)""".split())


def of_family(family):
    return [call.replace("||", "\0").replace("|", " ").replace("\0", "|") for call in FAMILIES[family].split()]


def split_call(call):
    """("substring", ["s1", "i3"]), or None where it is no plain call."""
    name, bracket, rest = call.partition("(")
    if not bracket or not rest.endswith(")") or not name.replace("_", "").isalnum():
        return None
    args, depth, quoted, start, rest = [], 0, "", 0, rest[:-1]
    for i, c in enumerate(rest):
        if quoted:
            quoted = "" if c == quoted else quoted
        elif c in "'\"":
            quoted = c
        elif c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
            if depth < 0:
                return None
        elif c == "," and depth == 0:
            args.append(rest[start:i].strip())
            start = i + 1
    last = rest[start:].strip()
    if last:
        args.append(last)
    if depth or any(" FROM " in a or " IN " in a and not a.startswith("(") or " PLACING " in a for a in args):
        return None
    return name.lower(), args


# Functions whose results are as long as a number says: they get small numbers of each type.
LONG = {"repeat", "space", "lpad", "rpad", "array_repeat", "sequence", "array_insert", "format_number"}
SMALL = {"i1": "i3", "l1": "CAST(i3 AS BIGINT)", "f1": "CAST(i3 AS FLOAT)", "d1": "CAST(i3 AS DOUBLE)",
         "n1": "CAST(i3 AS DECIMAL(10,2))", "w1": "CAST(i3 AS DECIMAL(38,18))", "x1": "CAST(i3 AS DECIMAL(38,0))",
         "h1": "CAST(i3 AS SMALLINT)"}


def calls(family):
    """(name of the function or "", expression) for all of a family."""
    seen, out = set(), []
    for call in of_family(family):
        parts = split_call(call)
        name = parts[0] if parts else ""
        out.append((name, call))
        if family == "zoned" or parts is None or (name, len(parts[1])) in seen:
            continue
        seen.add((name, len(parts[1])))
        if name in ("timestampadd", "timestampdiff", "cast") or name == "map_filter":
            continue
        for i in range(len(parts[1])):
            for column in inputs.TYPES:
                args = list(parts[1])
                if name in LONG and i > 0 or name in ("space", "sequence"):
                    column = SMALL.get(column, column)
                if args[i] != column:
                    args[i] = column
                    out.append((name, f"{name}({', '.join(args)})"))
    return list(dict.fromkeys(out))
